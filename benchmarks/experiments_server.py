"""What only a real server tells of experiments: what a shadow costs next to answering twice, and what an experiment costs requests.

Run by ``python -m benchmarks.bench_experiments server``: one server on this machine's processors, two adapters of rank 16 on the
demo's base. Everything is measured in turns, and compared within a round.
"""

import asyncio
import os
import random
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
from benchmarks.bench_cpu_lora import find_base
from benchmarks.cpu_lora.adapters import make_adapter
from benchmarks.report import Row, report, seconds
from tests.system.server import KEY, Server
from tokenizers import Tokenizer

from lorarack.registry import open_registry
from lorarack.registry.experiment.shadow import ShadowCounts

READ, WRITTEN = 32, 64
ROWS = 64
FLAGS = ("--max-model-len", "512", "--kv-cache-memory-bytes", "1G", "--max-num-seqs", str(ROWS), "--max-loras", "4")


def shadow_cost(server: Server, prompts: "Prompts", rounds: int) -> Iterator[Row]:
    """Seconds of all requests: alone, until the last shadow has ended, and with each answered twice.

    In bfloat16 a version does not always answer as it did before, most seldom where one token is far likelier than the others, as
    in a passage that repeats itself or in the answers of an adapter trained for one task.
    """
    kinds = (8, 64, ("1", "1"), True), (1, 8, ("1", "1"), True), (8, 64, ("1", "1"), False), (8, 64, ("1", "2"), False)
    for at_once, requests, arms, repeated in kinds:
        taken: dict[str, list[float]] = {"alone": [], "shadowed": [], "twice": []}
        counts: list[ShadowCounts] = []
        for _ in range(rounds):
            alone, shadowed, twice = (prompts.take(requests, repeated=repeated) for _ in range(3))
            taken["alone"].append(_seconds(server, ("shadowed@1",), alone, at_once))
            with experiment(server, arms):
                taken["shadowed"].append(_seconds(server, ("shadowed@prod",), shadowed, at_once, settle=True))
                counts.append(server.registry.experiments.status("shadowed", "prod").shadow)
            taken["twice"].append(_seconds(server, tuple(f"shadowed@{arm}" for arm in arms), twice, at_once))
        one, ours, both = (statistics.median(each) / requests for each in taken.values())
        cost = max(0.0, ours - one)  # at one at a time it is less than what rounds differ by
        ratio, name = cost / (both - one), "the same version" if arms[0] == arms[1] else "another version"
        yield Row(
            f"a shadow ÷ answering again, greedy, {READ} in / {WRITTEN} out, {at_once} at a time, {name}, "
            + ("a repeated passage" if repeated else "free text"),
            seconds(cost), seconds(both - one), ratio, "≤ 0.5" if repeated else "", ratio <= 0.5 if repeated else None,
            f"{sum(each.different for each in counts)} of {sum(each.recorded for each in counts)} differ",
        )  # fmt: skip


def requests_a_second(server: Server, prompts: "Prompts", rounds: int) -> Iterator[Row]:
    """In turns: an alias with an experiment on it, and the same alias without."""
    for at_once, goal, busy in ((ROWS, "≥ 0.99", "every row taken"), (8, "", "an eighth of the rows taken")):
        ratios = []
        for number in range(rounds):
            asked, taken = prompts.take(2 * at_once), {}
            for split in (False, True) if number % 2 else (True, False):
                with experiment(server, ("1", "1")) if split else nullcontext():
                    taken[split] = _seconds(server, ("shadowed@prod",), asked, at_once)
                    if split:
                        _settle(server, len(asked))
            ratios.append(taken[False] / taken[True])
        ratio = statistics.median(ratios)
        yield Row(
            f"requests/s with an experiment ÷ plain alias, {busy}", f"{ratio:.3f}", "1", ratio, goal,
            ratio >= 0.99 if goal else None, f"from {min(ratios):.3f} to {max(ratios):.3f} in {rounds} rounds",
        )  # fmt: skip


@contextmanager
def experiment(server: Server, arms: tuple[str, str]) -> Iterator[None]:
    """One on the alias, once the server has seen it, until the end of the block."""
    experiments = server.registry.experiments
    experiments.start(experiments.plan("shadowed", "prod", [(arm, 50) for arm in arms]))
    time.sleep(1.0)
    yield
    experiments.stop("shadowed", "prod")
    time.sleep(1.0)


class Prompts:
    """Pieces of this project's documentation, each given once: the engine remembers what it has read."""

    def __init__(self, base: Path) -> None:
        tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
        pages = sorted(Path(__file__).parents[1].glob("docs/**/*.md"))
        tokens = [token for page in pages for token in tokenizer.encode(page.read_text(encoding="utf-8")).ids]
        pieces = [tokens[start : start + READ] for start in range(0, len(tokens) - READ, READ)]
        random.Random(0).shuffle(pieces)
        self._pieces = iter(pieces)

    def take(self, count: int, *, repeated: bool = False) -> list[list[int]]:
        """The next ``count``, each of `READ` tokens; ``repeated``: half as many, said twice."""
        pieces = islice(self._pieces, count)
        return [2 * piece[: READ // 2] if repeated else piece for piece in pieces]


def _seconds(
    server: Server, models: Sequence[str], prompts: list[list[int]], at_once: int, *, settle: bool = False
) -> float:
    began = time.perf_counter()
    asyncio.run(_ask_all(server, models, prompts, at_once))
    if settle:
        _settle(server, len(prompts))
    return time.perf_counter() - began


def _settle(server: Server, requests: int) -> None:
    while True:
        status = server.registry.experiments.status("shadowed", "prod")
        if sum(tally.requests for tally in status.tallies.values()) >= requests and not status.shadows_waiting:
            return
        time.sleep(0.005)


async def _ask_all(server: Server, models: Sequence[str], prompts: list[list[int]], at_once: int) -> None:
    """Each prompt to each model."""
    limit = asyncio.Semaphore(at_once)
    headers = {"authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=600) as client:

        async def ask(number: int, prompt: list[int], model: str) -> None:
            body = {"model": model, "prompt": prompt, "max_tokens": WRITTEN, "temperature": 0, "ignore_eos": True}
            async with limit:
                (await client.post("/v1/completions", json=body | {"user": f"u{number}"})).raise_for_status()

        await asyncio.gather(*(ask(*each, model) for each in enumerate(prompts) for model in models))


def main(rounds: int = 3) -> None:
    """Start the server, measure, stop it."""
    with TemporaryDirectory(prefix="lorarack-bench-") as place:
        folder = Path(place)
        base, home = find_base(), folder / "registry"
        with open_registry(home) as registry:
            registry.add_base(str(base), "base")
            for seed in (1, 2):
                registry.publish(make_adapter(base, folder / f"a{seed}", 16, seed, 0.002), "shadowed", base="base")
            registry.set_alias("shadowed", "prod", 1)
        server = Server(home, "base", FLAGS, OMP_NUM_THREADS=str(os.cpu_count()))
        try:
            server.wait()
            prompts, rows = Prompts(base), list[Row]()
            _seconds(server, ("shadowed@1", "shadowed@2"), prompts.take(16), 16)
            shadows = shadow_cost(server, prompts, rounds)
            for row in chain(shadows, requests_a_second(server, prompts, rounds)):
                print(f"{row.what}: {row.ours}, {row.peer}, {row.ratio:.3f} ({row.note})", file=sys.stderr, flush=True)
                rows.append(row)
        finally:
            server.stop()
    report("experiments-server", rows)
