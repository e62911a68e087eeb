"""Two versions on the same rows: the test of their difference, and the bound that comes from inverting it."""

import math
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import ndtri

from lorarack.adapters.comparison.exact_test import exact_p_value
from lorarack.adapters.comparison.tilted_test import tilted_p_value

Floats = npt.NDArray[np.float64]

#: Bounds are found to a two-hundredth of a standard error, and never finer than this.
_FINEST = 1e-7
#: Where the search for a lower bound ends: a loss that is a million times the other one.
_FARTHEST = -1e6


class Pair(Protocol):
    """The difference of two versions over units (rows, or groups of rows) that were drawn independently."""

    @property
    def estimate(self) -> float:
        """The difference seen."""

    @property
    def spread(self) -> float:
        """The standard deviation of the difference of one unit."""

    @property
    def units(self) -> int:
        """How many units there are."""

    @property
    def least(self) -> float:
        """No true difference is below this."""

    def p_value(self, at: float) -> float:
        """How often chance alone gives so large a difference if the true one is ``at`` or less."""

    def reversed(self) -> "Pair":
        """The same with the two versions exchanged."""


@dataclass(frozen=True, slots=True)
class RightOrWrong:
    """Scores of 0 and 1: only the numbers of rows that differ matter."""

    wins: int
    losses: int
    units: int

    least = -1.0

    @property
    def estimate(self) -> float:
        """The difference of the shares of right rows."""
        return (self.wins - self.losses) / self.units

    @property
    def spread(self) -> float:
        """Of one row; a quarter of a row is added on each side, so that it is not 0 where no row differs."""
        won, lost = (self.wins + 0.25) / (self.units + 0.5), (self.losses + 0.25) / (self.units + 0.5)
        return math.sqrt(won + lost - (won - lost) ** 2)

    def p_value(self, at: float) -> float:
        """Of the exact test."""
        return exact_p_value(self.wins, self.losses, self.units, at)

    def reversed(self) -> "RightOrWrong":
        """Wins and losses exchanged."""
        return RightOrWrong(self.losses, self.wins, self.units)


@dataclass(frozen=True, slots=True, eq=False)
class Graded:
    """Any scores: ``gain`` of each unit, and the ``weight`` by which the true difference counts in it.

    The weight is 1 for a row and the number of rows for a group. ``lowest`` and ``highest`` are the limits of a gain per
    weight, None where there are none: the worst unit that was seen then stands for the worst there can be.
    """

    gain: Floats
    weight: Floats
    lowest: float | None = -1.0
    highest: float | None = 1.0
    _kinds: tuple[Floats, Floats] | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Where all units weigh the same, each different gain is worked on once: scores are often a few round numbers."""
        found = None
        if float(self.weight.max()) == float(self.weight.min()):
            kinds, counts = np.unique(self.gain, return_counts=True)
            found = kinds, counts.astype(np.float64)
        object.__setattr__(self, "_kinds", found)

    @property
    def units(self) -> int:
        """Rows, or groups."""
        return len(self.gain)

    @property
    def least(self) -> float:
        """The lower limit."""
        return -math.inf if self.lowest is None else self.lowest

    @property
    def estimate(self) -> float:
        """Gain for a weight of 1."""
        return float(self.gain.sum() / self.weight.sum())

    @property
    def spread(self) -> float:
        """Of one unit, with half a unit added that gains or loses everything."""
        rest = self.gain - self.estimate * self.weight
        most = 1.0 if self.lowest is None or self.highest is None else (self.highest - self.lowest) / 2
        extra = (most * float(self.weight.mean())) ** 2 if self.lowest is not None else 0.0
        return math.sqrt((float((rest * rest).sum()) + extra / 2) / (len(rest) + 0.5)) / float(self.weight.mean())

    def p_value(self, at: float) -> float:
        """Of the tilted test."""
        if self.lowest is not None and at <= self.lowest:
            return 0.0
        heaviest = float(self.weight.max())
        values = self.gain - at * self.weight if self._kinds is None else self._kinds[0] - at * heaviest
        seen = max(float(np.abs(values).max()), 1e-12)
        worst = -seen if self.lowest is None else (self.lowest - at) * heaviest
        if self._kinds is None:
            return tilted_p_value(values, worst)
        return tilted_p_value(values, worst, self._kinds[1], self._kinds[0], worst + at * heaviest)

    def reversed(self) -> "Graded":
        """Gains become losses."""
        low, high = (None if end is None else -end for end in (self.highest, self.lowest))
        return Graded(-self.gain, self.weight, low, high)


def lower_bound(pair: Pair, level: float) -> float:
    """The least true difference that the test does not reject at ``level``: the true one is below it that rarely."""
    normal = float(ndtri(level))

    def above(at: float) -> float:
        return float(ndtri(min(max(pair.p_value(at), 1e-300), 1 - 1e-12))) - normal

    error = pair.spread / math.sqrt(pair.units)
    if not error and pair.least == -math.inf:  # equal losses on all rows: nothing to estimate how far off they may be
        return pair.estimate
    low = high = max(pair.least, pair.estimate + normal * error)  # near it already
    step = error / 4
    least = max(pair.least, _FARTHEST)  # of a few rows without limits no difference may be rejected at all
    while low > least and above(low) > 0:
        high, low, step = low, max(least, low - step), 2 * step
    if low <= least:
        return least
    step = error / 4
    while high < pair.estimate and (high == low or above(high) <= 0):
        low, high, step = high, min(pair.estimate, high + step), 2 * step
    if high >= pair.estimate and above(high) <= 0:
        return pair.estimate
    return float(brentq(above, low, high, xtol=max(_FINEST, error / 200)))


def upper_bound(pair: Pair, level: float) -> float:
    """The same from above."""
    return -lower_bound(pair.reversed(), level)
