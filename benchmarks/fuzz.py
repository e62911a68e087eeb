"""Thousands of spoiled safetensors headers, configurations, tokenizers and export manifests: none may crash, hang or write
outside. The cases and what must hold for them are those of the tests (tests/registry/fuzzing.py)."""

import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.report import Row, report, seconds
from hypothesis import HealthCheck, given, settings
from tests.registry.fuzzing import LIMIT, Sandbox

CASES = 10_000


def rows(cases: int = CASES) -> list[Row]:
    """One row for each kind of input; a case that does harm fails with the smallest example that does."""
    with TemporaryDirectory(prefix="lorarack-bench-") as scratch:
        kinds = list(Sandbox(Path(scratch) / "kinds").inputs())
        return [_row(Path(scratch) / kind, kind, -(-cases // len(kinds))) for kind in kinds]


def _row(root: Path, kind: str, cases: int) -> Row:
    sandbox = Sandbox(root)

    @settings(max_examples=cases, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(sandbox.inputs()[kind])
    def run(case: tuple[str, bytes]) -> None:
        sandbox.check(*case)

    start = time.perf_counter()
    goal = f"no crash, none over {LIMIT} s, no stray file"
    try:
        run()
    except Exception as error:  # noqa: BLE001  (whatever it is, it is what we look for)
        return Row(f"fuzz: {kind}", "FAILED", goal=goal, met=False, note=f"{type(error).__name__}: {error}"[:500])
    tried = sandbox.outcomes.total()
    accepted = sandbox.outcomes["accepted"]
    found = f"{tried:,} cases, {accepted:,} accepted, {tried - accepted:,} refused"
    each = seconds((time.perf_counter() - start) / tried)
    return Row(f"fuzz: {kind}", found, goal=goal, met=tried >= cases, note=f"{each} a case")


if __name__ == "__main__":
    report("fuzz", rows(int(sys.argv[1]) if len(sys.argv) > 1 else CASES))
