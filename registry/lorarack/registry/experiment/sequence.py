"""A confidence sequence for the mean difference between two arms: an interval that is right at every moment at once."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, Self, TypeAlias

import numpy as np

from lorarack.registry.errors import UsageError
from lorarack.registry.experiment.evidence import log_evidence_above, log_evidence_above_from_sums

_STEPS = 40  # halvings of [-1, 1]: finer than 1e-11


@dataclass(frozen=True, slots=True)
class PairedCounts:
    """Both arms answered the same request, each right or wrong: how often the challenger was worse, equal, better."""

    worse: int = 0
    equal: int = 0
    better: int = 0

    VALUES: ClassVar = np.array([-1.0, 0.0, 1.0])

    def observe(self, difference: float) -> Self:
        """With one more observation, -1, 0 or 1. Raises ``UsageError``: another number."""
        if difference not in (-1, 0, 1):
            raise UsageError(
                f"A right-or-wrong metric differs by -1, 0 or 1 between two answers, not by {difference:g}."
            )
        field = ("worse", "equal", "better")[int(difference) + 1]
        return replace(self, **{field: getattr(self, field) + 1})

    @property
    def count(self) -> int:
        """Observations so far."""
        return self.worse + self.equal + self.better

    @property
    def mean(self) -> float:
        """The mean difference so far; 0 of none."""
        return (self.better - self.worse) / self.count if self.count else 0.0

    def log_above(self, bound: float) -> float:
        """The log evidence that the mean difference is above ``bound``, between -1 and 1."""
        counts = np.array([self.worse, self.equal, self.better])
        return float(log_evidence_above(bound, self.VALUES, counts, -1.0))

    def log_below(self, bound: float) -> float:
        """The log evidence that the mean difference is below ``bound``, between -1 and 1."""
        counts = np.array([self.better, self.equal, self.worse])
        return float(log_evidence_above(-bound, self.VALUES, counts, -1.0))


@dataclass(frozen=True, slots=True)
class BoundedSums:
    """Differences anywhere in [-1, 1], of graded scores or of arms that answered different requests."""

    count: int = 0
    total: float = 0.0
    deviation: float = 0.0

    def observe(self, difference: float) -> Self:
        """With one more observation. Raises ``UsageError``: not within [-1, 1]."""
        if not -1 <= difference <= 1:
            raise UsageError(f"A difference of {difference:g} is outside of -1 to 1; scale the metric to 0 to 1.")
        score = (difference + 1) / 2
        estimate = (0.5 + self.total) / (self.count + 1)
        return replace(
            self,
            count=self.count + 1,
            total=self.total + score,
            deviation=self.deviation + (score - estimate) ** 2,
        )

    @property
    def mean(self) -> float:
        """The mean difference so far; 0 of none."""
        return 2 * self.total / self.count - 1 if self.count else 0.0

    def log_above(self, bound: float) -> float:
        """The log evidence that the mean difference is above ``bound``, between -1 and 1."""
        return self._log_above((bound + 1) / 2, self.total)

    def log_below(self, bound: float) -> float:
        """The log evidence that the mean difference is below ``bound``, between -1 and 1."""
        return self._log_above((1 - bound) / 2, self.count - self.total)

    def _log_above(self, bound: float, total: float) -> float:
        count, summed, deviation = (np.array(each, dtype=np.float64) for each in (self.count, total, self.deviation))
        return float(log_evidence_above_from_sums(bound, count, summed, deviation))


Differences: TypeAlias = PairedCounts | BoundedSums


@dataclass(frozen=True, slots=True)
class ConfidenceSequence:
    """The interval of a mean difference, narrowed by every look: what was excluded once stays excluded."""

    differences: Differences
    low: float = -1.0
    high: float = 1.0

    def look(self, alpha: float = 0.05) -> Self:
        """The sequence with today's evidence; over all looks together it misses the mean with probability ``alpha`` at most."""
        level = math.log(2 / alpha)
        return replace(
            self,
            low=max(self.low, _boundary(self.differences.log_above, level, rising=False)),
            high=min(self.high, _boundary(self.differences.log_below, level, rising=True)),
        )


def _boundary(log_evidence: Callable[[float], float], level: float, *, rising: bool) -> float:
    """The bound at which evidence against it reaches ``level``; evidence only falls (or rises) along the bounds."""
    low, high = -1.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if (log_evidence(middle) >= level) != rising:
            low = middle
        else:
            high = middle
    return high if rising else low
