"""Measuring in turns: round after round, in the other order every other time, so that a slowing machine favours nobody."""

import statistics
import sys
from collections.abc import Callable, Mapping

from benchmarks.cpu_lora.comparison import wait_for_quiet
from benchmarks.report import Row


def medians(what: str, works: Mapping[str, Callable[[int], float]], rounds: int) -> dict[str, float]:
    """Each one's median; ``works`` are called with the number of the round, after one that nobody counts."""
    for work in works.values():
        work(-1)
    taken: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds):
        for name in list(works) if number % 2 == 0 else list(works)[::-1]:
            wait_for_quiet(patience=3)
            taken[name].append(works[name](number))
    for name, values in taken.items():
        print(f"  {what}: {name} " + " ".join(f"{value:.4g}" for value in values), file=sys.stderr, flush=True)
    return {name: statistics.median(values) for name, values in taken.items()}


def ratio_row(
    what: str,
    pair: tuple[float, float],
    unit: str,
    *,
    at_most: float | None = None,
    at_least: float | None = None,
    note: str = "",
) -> Row:
    """A row of ours and a peer whose goal is a bound on their ratio; without a bound, only the figures."""
    ours, peer = pair
    ratio, goal, met = ours / peer, "", None
    if at_most is not None:
        goal, met = f"≤ {at_most:g}", ratio <= at_most
    if at_least is not None:
        goal, met = f"≥ {at_least:g}", ratio >= at_least
    return Row(what, f"{ours:.3g} {unit}", f"{peer:.3g} {unit}", ratio, goal, met, note)
