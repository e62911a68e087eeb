"""Sixteen processes publish and move aliases as fast as they can; the storm is the tests' own (tests/registry/storm.py)."""

from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.report import Row
from tests.registry.storm import faults, storm
from tests.tiny import tiny_base

from lorarack.registry import open_registry


def rows(writers: int = 16, duration: float = 30.0) -> list[Row]:
    """One row: commits, errors, and the fewest commits of a writer next to the median."""
    with TemporaryDirectory(prefix="lorarack-bench-") as folder:
        scratch = Path(folder)
        with open_registry(scratch / "home") as registry:
            registry.add_base(str(tiny_base(scratch / "base")), "tiny")
        (scratch / "writers").mkdir()
        outcome = storm(scratch / "home", scratch / "writers", writers, duration)
        wrong = faults(scratch / "home", outcome)
    writes = outcome.writes
    fewest, median = writes[0], writes[len(writes) // 2]
    found = f"{sum(writes):,} commits ({sum(writes) / duration:.0f}/s), {len(wrong)} faults"
    peer = f"fewest {fewest}, median {median}"
    goal = "no fault, no writer starved"
    what = f"{writers} writers for {duration:g} s"
    return [Row(what, found, peer, fewest / max(median, 1), goal, not wrong, "; ".join(wrong)[:500])]
