"""Resolving from the snapshot, and how soon a change is in it."""

import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.populate import populate
from benchmarks.report import Row, seconds
from benchmarks.timing import once

from lorarack.registry import Registry, Snapshot, open_registry

RESOLVE_GOAL = 10e-6
FOLLOW_GOAL = 5e-3
#: Where one adapter has all versions, its indexes are copied for each change.
FOLLOW_GOAL_OF_ONE = 25e-3


def rows(versions: int = 100_000, *, resolves: int = 20_000, changes: int = 50) -> list[Row]:
    """Both for many adapters with 100 versions each and for one adapter with all of them."""
    found = []
    for adapters in (max(versions // 100, 1), 1):
        with TemporaryDirectory(prefix="lorarack-bench-") as home:
            populate(Path(home), adapters, versions // adapters)
            with open_registry(home) as registry:
                goal = FOLLOW_GOAL if adapters > 1 else FOLLOW_GOAL_OF_ONE
                found += _shape(registry, f"{versions:,} versions in {adapters:,}", resolves, changes, goal)
    return found


def _shape(registry: Registry, shape: str, resolves: int, changes: int, goal: float) -> list[Row]:
    start = time.perf_counter()
    snapshot = registry.snapshot()
    loading = time.perf_counter() - start
    p50 = _resolving(snapshot, resolves)
    following = _following(registry, snapshot, changes)
    return [
        Row(f"resolve p50, {shape}", seconds(p50), goal="≤ 10 µs", met=p50 <= RESOLVE_GOAL),
        Row(f"one change in the next snapshot, {shape}", seconds(following), goal=f"≤ {seconds(goal)}", met=following <= goal),
        Row(f"first snapshot, {shape}", seconds(loading)),
    ]  # fmt: skip


def _resolving(snapshot: Snapshot, times: int) -> float:
    """The slowest kind of reference counts."""
    names = sorted(snapshot.adapters)
    middle = snapshot.adapters[names[len(names) // 2]]
    version = middle.newest()
    assert version is not None
    references = ("", "@latest", f"@r{version.rank}", f"@{version.number}", f"@{version.digest[:19]}")
    return max(_p50(snapshot, f"{middle.name}{selector}", times) for selector in references)


def _p50(snapshot: Snapshot, reference: str, times: int) -> float:
    return statistics.median(once(lambda: snapshot.resolve(reference)) for _ in range(times))


def _following(registry: Registry, snapshot: Snapshot, changes: int) -> float:
    """The median time from a committed change to the snapshot that has it; alias moves and new tags by turns."""
    names = sorted(snapshot.adapters)
    taken = []
    for change in range(changes):
        name = names[change * 7 % len(names)]
        if change % 2:
            registry.describe(f"{name}@{change % 5 + 1}", tags={"seen": str(change)})
        else:
            registry.set_alias(name, "prod", change % 5 + 1)
        start = time.perf_counter()
        later = registry.snapshot(snapshot)
        taken.append(time.perf_counter() - start)
        assert later.changes > snapshot.changes
        snapshot = later
    return statistics.median(taken)
