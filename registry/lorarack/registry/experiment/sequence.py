"""A confidence sequence for the difference between two arms' means: an interval that is right at every moment at once.

Two arms answer different requests, so the difference has a nuisance: where the means lie. For a reference mean of ``a``, the
evidence that it is below ``a`` and that the challenger's is above ``a + bound`` multiply to evidence against both together; the
smallest product over all ``a`` is evidence against every pair of means that differ by ``bound`` or less. It is a wealth as in
``evidence``, for it is at most that of the true pair.
"""

import math
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from lorarack.registry.experiment.evidence import Floats
from lorarack.registry.experiment.paired import PairedScores
from lorarack.registry.experiment.scores import Scores

_HALVINGS = 24  # of [-1, 1]: finer than 1e-6


@dataclass(frozen=True, slots=True)
class ConfidenceSequence:
    """The interval of challenger minus reference, narrowed by every look: what was excluded once stays excluded."""

    low: float = -1.0
    high: float = 1.0

    def look(self, challenger: Scores, reference: Scores, alpha: float = 0.05) -> Self:
        """The sequence with today's scores; over all looks it misses the difference with probability ``alpha`` at most."""
        level = math.log(2 / alpha)
        return self.narrowed(lower_bound(challenger, reference, level), -lower_bound(reference, challenger, level))

    def look_at_pairs(self, paired: PairedScores, alpha: float = 0.05) -> Self:
        """The same of requests that both arms answered."""
        level = math.log(2 / alpha)
        return self.narrowed(paired.lower_bound(level), -paired.swapped().lower_bound(level))

    def narrowed(self, low: float, high: float) -> Self:
        """Without what is below ``low`` or above ``high``."""
        return replace(self, low=max(self.low, low), high=min(self.high, high))


def log_difference_above(challenger: Scores, reference: Scores, bound: float) -> float:
    """The log evidence that the challenger's mean is more than ``bound`` above the reference's."""
    edges = _edges(reference)
    return _smallest(challenger, _below(reference, edges), edges, bound)


def lower_bound(challenger: Scores, reference: Scores, level: float) -> float:
    """The largest difference against which the evidence that it is more reaches ``level``; -1 if there is none."""
    edges = _edges(reference)
    below = _below(reference, edges)
    low, high = -1.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _smallest(challenger, below, edges, middle) >= level:
            low = middle
        else:
            high = middle
    return low


def _below(reference: Scores, edges: Floats) -> Floats:
    """Half of the wealth is not bet, so that far below the observed mean, where the challenger wins, less is lost."""
    return np.logaddexp(0.0, reference.log_below(edges[:-1])) - math.log(2)


def _smallest(challenger: Scores, below: Floats, edges: Floats, bound: float) -> float:
    # Between two edges no reference mean has less evidence than this: the one grows along them, the other falls.
    return float((below + challenger.log_above(edges[1:] + bound)).min())


def _edges(reference: Scores) -> Floats:
    """Reference means from 0 to 1, close together around the one that was observed."""
    mean = reference.mean if reference.mean is not None else 0.5
    spread = math.sqrt((reference.deviation + 1) / (reference.count + 1) / (reference.count + 1))
    near = mean + spread * np.linspace(-8, 8, 193)
    return np.unique(np.concatenate([np.linspace(0, 1, 33), near.clip(0, 1)]))
