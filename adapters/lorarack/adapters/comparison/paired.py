"""Two versions on the very same rows: how much they differ, and whether that can be chance."""

import math
from collections.abc import Sequence

import numpy as np

from lorarack.adapters.comparison.intervals import Interval, bootstrap, portions, quantile
from lorarack.registry.errors import UsageError
from lorarack.registry.values import Value

FLIPS = 20_000
_SEED = 30_000


class Difference(Value):
    """``second`` minus ``first``, over the same rows."""

    rows: int
    interval: Interval
    wins: int  # rows on which the second scores more
    losses: int  # rows on which the first scores more
    p_value: float
    test: str
    method: str


def difference(
    first: Sequence[float], second: Sequence[float], *, binary: bool, confidence: float = 0.95
) -> Difference:
    """How much ``second`` differs from ``first``, row by row.

    Right-or-wrong scores get Bonett and Price's interval and McNemar's exact test, graded ones a BCa bootstrap and a
    sign-flip permutation test.

    Raises:
        UsageError: no rows, or not the same number of both.
    """
    if not first or len(first) != len(second):
        raise UsageError(
            f"Paired scores need the same rows on both sides, at least one: got {len(first)} and {len(second)}."
        )
    changes = [after - before for before, after in zip(first, second, strict=True)]
    wins, losses = sum(change > 0 for change in changes), sum(change < 0 for change in changes)
    if binary:
        interval, p_value = adjusted_wald(wins, losses, len(changes), confidence), mcnemar(wins, losses)
        test, method = "McNemar's exact test", "Bonett-Price"
    elif wins + losses == 0:
        # All rows alike: a bootstrap would claim certainty. One imaginary row each way says how little is known.
        interval, p_value = adjusted_wald(0, 0, len(changes), confidence), 1.0
        test, method = "sign-flip permutation test", "Bonett-Price"
    else:
        interval, p_value = bootstrap(changes, confidence), sign_flip(changes)
        test, method = "sign-flip permutation test", "BCa bootstrap"
    return Difference(
        rows=len(changes), interval=interval, wins=wins, losses=losses, p_value=p_value, test=test, method=method
    )


def adjusted_wald(wins: int, losses: int, rows: int, confidence: float = 0.95) -> Interval:
    """Interval for the difference of two shares over the same rows; ``mean`` is the plain difference.

    One imaginary row is added to the wins and one to the losses, which keeps its coverage near the nominal one down to
    few rows and keeps it honest when nothing differs, where a bootstrap has no width. Source: D. G. Bonett and
    R. M. Price, "Adjusted Wald confidence interval for a difference of binomial proportions based on paired data",
    J. Educ. Behav. Stat. 37 (2012).
    """
    total = rows + 2
    won, lost = (wins + 1) / total, (losses + 1) / total
    half = quantile(confidence) * math.sqrt((won + lost - (won - lost) ** 2) / total)
    low, high = max(-1.0, won - lost - half), min(1.0, won - lost + half)
    return Interval(mean=(wins - losses) / rows, low=low, high=high, confidence=confidence)


def mcnemar(wins: int, losses: int) -> float:
    """Two-sided p-value: how often a fair coin splits the rows that differ at least this unevenly.

    Source: Q. McNemar, "Note on the sampling error of the difference between correlated proportions", Psychometrika 12
    (1947), in its exact binomial form.
    """
    differing = wins + losses
    tail = sum(math.comb(differing, count) for count in range(min(wins, losses) + 1))
    return min(1.0, 2 * tail / 2**differing)


def sign_flip(changes: Sequence[float]) -> float:
    """Two-sided p-value: how often the mean is at least this far from 0 when each row's sign is a coin toss.

    20,000 tosses of all rows, always with the same seed; the seen one counts as one of them, so that the value is never
    0. Source: R. A. Fisher, "The Design of Experiments" (1935).
    """
    moved = np.asarray([change for change in changes if change != 0.0])
    seen = abs(moved.sum())
    source = np.random.default_rng(_SEED)
    as_far = 0
    for count in portions(FLIPS):
        sums = source.choice((-1.0, 1.0), size=(count, len(moved))) @ moved
        as_far += int((np.abs(sums) >= seen - 1e-12).sum())
    return (as_far + 1) / (FLIPS + 1)
