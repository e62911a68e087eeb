"""The same publish, alias move, resolve and search here and in MLflow's model registry (SQLite, local artifacts).

MLflow runs in a process and an environment of its own; each side times itself, and the two take turns.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.publishing import adapter, base
from benchmarks.report import Row, seconds

from lorarack.registry import Metric, Registry, open_registry
from lorarack.registry.queries import Query

PACKAGES = ("mlflow-skinny==3.17.2", "sqlalchemy==2.1.9", "alembic")
GOAL = 5.0
#: What both sides are asked for where MLflow's copy is to be as safe as ours.
_SAFELY = "publish_safely"


class MlflowMissing(Exception):
    """The environment could not be made; the text says why."""


def rows(*, there: int = 300, times: int = 15) -> list[Row]:
    """With ``there`` small versions in both registries."""
    try:
        python = environment()
    except MlflowMissing as error:
        return [Row("MLflow", "", goal="≥ 5 times faster", note=f"not measured: {error}")]
    with TemporaryDirectory(prefix="lorarack-bench-") as scratch:
        return _compare(Path(scratch), python, there, times)


def environment() -> Path:
    """The Python of an environment with MLflow, made once under the user's cache folder.

    Raises:
        MlflowMissing: it cannot be made.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "lorarack-bench"
    place = cache / PACKAGES[0].replace("==", "-")
    python = place / "bin" / "python"
    if (place / ".ready").exists():
        return python
    uv = Path(sys.executable).parent / "uv"
    for command in (
        [str(uv), "venv", "--quiet", "--clear", "--python", sys.executable, str(place)],
        [str(uv), "pip", "install", "--quiet", "--python", str(python), *PACKAGES],
    ):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise MlflowMissing(str(error)) from error
        if done.returncode:
            raise MlflowMissing(" ".join(done.stderr.split())[:200])
    (place / ".ready").touch()
    return python


@contextmanager
def mlflow_side(python: Path, home: Path) -> Iterator[Callable[..., float]]:
    """A running MLflow: a function that has it do something and gives the seconds."""
    home.mkdir()
    command = [str(python), str(Path(__file__).parent / "mlflow_side.py"), str(home)]
    # Its own environment: our packages on its path would be a mixture that nobody uses.
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=plain) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        asking, answers = process.stdin, process.stdout

        def answer() -> Any:
            line = answers.readline()
            assert line, "MLflow stopped"
            return json.loads(line)

        def ask(do: str, **arguments: object) -> float:
            asking.write(json.dumps({"do": do, **arguments}) + "\n")
            asking.flush()
            return float(answer())

        answer()
        yield ask
        asking.close()


class Ours:
    """The same operations here."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def publish(self, folder: str, team: str, loss: float) -> None:
        """Artifacts, a metric, a version with a tag."""
        metric = Metric(name="loss", split="validation", value=loss)
        done = self._registry.publish(Path(folder), "support", base="bench", metrics=[metric], tags={"team": team})
        assert done.created

    publish_safely = publish

    def alias(self, version: int) -> None:
        """Move alias ``prod``."""
        self._registry.set_alias("support", "prod", version)

    def resolve(self) -> None:
        """What ``prod`` names."""
        self._registry.resolve("support@prod")

    def search(self, team: str) -> None:
        """The newest 20 versions with a tag."""
        found = self._registry.search(Query(adapter="support", tags=(f"team={team}",), limit=20))
        assert len(found.versions) > 0


def _compare(scratch: Path, python: Path, there: int, times: int) -> list[Row]:
    seeds = count()
    small = base(scratch / "base", 80)
    with open_registry(scratch / "home") as registry, mlflow_side(python, scratch / "mlflow") as theirs:
        registry.add_base(str(small), "bench")
        ours = Ours(registry)

        def both(do: str, **arguments: object) -> tuple[float, float]:
            start = time.perf_counter()
            getattr(ours, do)(**arguments)
            return time.perf_counter() - start, theirs(do, **arguments)

        def publish(modules: int, do: str = "publish") -> tuple[float, float]:
            seed = next(seeds)
            folder = adapter(scratch / f"adapter-{seed}", modules, seed)
            return both(do, folder=str(folder), team=f"team-{seed % 7}", loss=0.5 + seed % 11 / 100)

        for _ in range(there):
            publish(1)
        both("alias", version=1)
        return [
            _row("publish 0.3 MB", [publish(1) for _ in range(times)]),
            _row("publish 20 MB", [publish(76) for _ in range(times)]),
            _unasked(
                _row(
                    "publish 20 MB, MLflow's copy then hashed and synced", [publish(76, _SAFELY) for _ in range(times)]
                )
            ),
            _row("move an alias", [both("alias", version=turn % 9 + 1) for turn in range(2, times + 2)]),
            _row("resolve an alias (from the database)", [both("resolve") for _ in range(times * 3)]),
            _row("search a tag, 20 newest", [both("search", team="team-3") for _ in range(times)]),
        ]


def _unasked(row: Row) -> Row:
    """A row beside the goal: MLflow does not do this by itself."""
    return replace(row, goal="", met=None)


def _row(what: str, taken: list[tuple[float, float]]) -> Row:
    ours, theirs = (statistics.median(side) for side in zip(*taken, strict=True))
    times = theirs / ours
    return Row(f"{what}: MLflow ÷ ours", seconds(ours), seconds(theirs), times, "≥ 5", times >= GOAL)
