"""A hundred thousand spoiled inputs for the parsers that read what strangers write, and thousands that are published or
imported whole: none may crash, hang or write outside. The cases and what must hold for them are those of the tests
(tests/parsers.py, tests/registry/fuzzing.py)."""

import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.report import Row, report, seconds
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy
from tests.parsers import Parser, parsers
from tests.registry.fuzzing import LIMIT, Sandbox

#: Inputs for all parsers together, and folders that are published or imported.
CASES, WHOLE_CASES = 100_000, 10_000


def rows(cases: int = CASES, whole_cases: int = WHOLE_CASES) -> list[Row]:
    """One row for each kind of input; a case that does harm fails with the smallest example that does."""
    with TemporaryDirectory(prefix="lorarack-bench-") as scratch:
        known = parsers(Path(scratch))
        kinds = list(Sandbox(Path(scratch) / "kinds").inputs())
        return [_parsed(name, parser, -(-cases // len(known))) for name, parser in known.items()] + [
            _whole(Path(scratch) / kind, kind, -(-whole_cases // len(kinds))) for kind in kinds
        ]


def _parsed(name: str, parser: Parser, cases: int) -> Row:
    outcomes: Counter[bool] = Counter()

    def check(found: Any) -> None:
        outcomes[parser.check(found)] += 1

    what = f"fuzz: {name}, parsed"
    return _row(what, f"no crash, none over {LIMIT} s", cases, parser.given, check, outcomes, True)


def _whole(root: Path, kind: str, cases: int) -> Row:
    sandbox = Sandbox(root)
    goal = f"no crash, none over {LIMIT} s, no stray file"
    given_ = sandbox.inputs()[kind]
    return _row(
        f"fuzz: {kind}, whole", goal, cases, given_, lambda case: sandbox.check(*case), sandbox.outcomes, "accepted"
    )


def _row(
    what: str,
    goal: str,
    cases: int,
    inputs: SearchStrategy[Any],
    check: Callable[[Any], None],
    outcomes: "Counter[Any]",
    accepted: object,
) -> Row:
    @settings(max_examples=cases, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(inputs)
    def run(case: Any) -> None:
        check(case)

    start = time.perf_counter()
    try:
        run()
    except Exception as error:  # noqa: BLE001  (whatever it is, it is what we look for)
        return Row(what, "FAILED", goal=goal, met=False, note=f"{type(error).__name__}: {error}"[:500])
    tried = outcomes.total()
    found = f"{tried:,} cases, {outcomes[accepted]:,} accepted, {tried - outcomes[accepted]:,} refused"
    each = seconds((time.perf_counter() - start) / tried)
    return Row(what, found, goal=goal, met=tried >= cases, note=f"{each} a case")


if __name__ == "__main__":
    report("fuzz", rows(*(int(text) for text in sys.argv[1:])))
