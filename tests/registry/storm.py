"""Many processes publish and move aliases as fast as they can; run as ``python -m tests.registry.storm`` or call ``storm``."""

import json
import os
import subprocess
import sys
import time
import traceback
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.tiny import tiny_adapter

from lorarack.registry import Alias, Registry, open_registry
from lorarack.registry.errors import Conflict

ALIASES = ("prod", "canary", "next")


@dataclass(frozen=True)
class Outcome:
    """What each writer did: publishes, alias moves, moves that another one forestalled; and the errors of all."""

    published: list[list[int]]
    moves: list[int]
    refused: list[int]
    errors: list[str]

    @property
    def writes(self) -> list[int]:
        """Commits by writer, fewest first."""
        return sorted(len(numbers) + moves for numbers, moves in zip(self.published, self.moves, strict=True))


def storm(home: Path, scratch: Path, writers: int = 16, seconds: float = 30.0) -> Outcome:
    """Let ``writers`` processes write the registry at ``home``, which has base ``tiny``, for so many seconds."""
    command = [sys.executable, "-m", "tests.registry.storm", str(home), str(scratch), str(writers), str(seconds)]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=seconds + 120, check=True)
    return Outcome(**json.loads(done.stdout))


def faults(home: Path, outcome: Outcome) -> list[str]:
    """What is wrong afterwards: nothing, when no update was lost and nothing was given out twice."""
    found = list(outcome.errors)
    with open_registry(home) as registry:
        numbers = [version.number for version in registry.versions("storm")]
        told = [number for of_one in outcome.published for number in of_one]
        if sorted(told) != numbers or numbers != list(range(1, len(numbers) + 1)):
            found.append(f"{len(told)} versions were acknowledged, {len(set(told))} numbers, {len(numbers)} are there")
        history = registry.alias_history("storm")
        if len(history) != sum(outcome.moves) + 1:  # default, by the first publish
            found.append(f"{sum(outcome.moves)} moves were acknowledged, {len(history) - 1} are in the history")
        found += [f"a move of {move.name} from {move.previous} was lost" for move in _broken(registry)]
        replayed = {move.name: move.version for move in history}
        if replayed != {alias.name: alias.version for alias in registry.aliases("storm")}:
            found.append("the aliases are not what their history says")
    least = outcome.writes[0]
    median = outcome.writes[len(outcome.writes) // 2]
    if least < median / 10:
        found.append(f"one writer starved: {least} writes, median {median}")
    return found


def _broken(registry: Registry) -> list[Alias]:
    at: dict[str, int] = {}
    broken: list[Alias] = []
    for move in registry.alias_history("storm"):
        if move.previous != at.get(move.name):
            broken.append(move)
        at[move.name] = move.version
    return broken


def _write(home: Path, scratch: Path, writer: int, until: float) -> dict[str, object]:
    """One writer: publish, then move an alias there from where it is, again and again."""
    published: list[int] = []
    counts: Counter[str] = Counter()
    with open_registry(home) as registry:
        while time.monotonic() < until:
            turn = len(published)
            folder = tiny_adapter(scratch / f"{writer}-{turn % 2}", seed=10**6 * writer + turn)
            published.append(registry.publish(folder, "storm", base="tiny").version.number)
            for alias in ALIASES:
                there = {found.name: found.version for found in registry.aliases("storm")}.get(alias)
                try:
                    if there is None or there != published[-1]:
                        registry.set_alias("storm", alias, published[-1], expect=there)
                        counts["moves"] += 1
                except Conflict:
                    counts["refused"] += 1
    return {"published": published, "moves": counts["moves"], "refused": counts["refused"], "error": None}


def _main(home: Path, scratch: Path, writers: int, seconds: float) -> None:
    until = time.monotonic() + seconds
    children = []
    for writer in range(writers):
        child = os.fork()
        if not child:
            try:
                told = _write(home, scratch, writer, until)
            except BaseException:  # noqa: BLE001  (told, and the test fails on it)
                told = {"published": [], "moves": 0, "refused": 0, "error": traceback.format_exc()}
            (scratch / f"{writer}.json").write_text(json.dumps(told))
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    each = [json.loads((scratch / f"{writer}.json").read_text()) for writer in range(writers)]
    fields = {name: [told[name] for told in each] for name in ("published", "moves", "refused")}
    print(json.dumps({**fields, "errors": [told["error"] for told in each if told["error"]]}))


if __name__ == "__main__":
    _main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
