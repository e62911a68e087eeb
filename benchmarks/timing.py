"""Timing that a busy machine upsets little: medians, and peers measured in turns."""

import statistics
import time
from collections.abc import Callable, Mapping


def once(work: Callable[[], object]) -> float:
    """Seconds that ``work`` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def in_turns(works: Mapping[str, Callable[[], object]], times: int) -> dict[str, float]:
    """Each one's median seconds; round after round, so that what slows the machine slows all of them."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(times):
        for name, work in works.items():
            taken[name].append(once(work))
    return {name: statistics.median(found) for name, found in taken.items()}
