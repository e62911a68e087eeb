"""Scores of several versions on the same rows, and the pairs that are made of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

from lorarack.adapters.comparison.paired import Graded, Pair, RightOrWrong, lower_bound, upper_bound
from lorarack.registry.errors import UsageError

Floats = npt.NDArray[np.float64]

#: A mean loss below this counts as 0: no other loss is a share of it that says anything.
_LEAST_LOSS = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class ScoreTable:
    """One line for each row that all versions have a score on, one column for each version.

    Attributes:
        references: names of the columns.
        scores: from 0 to 1, more is better; with ``losses`` any number from 0 on, less is better.
        groups: the group that each row belongs to, where rows are not independent of each other.
        losses: whether the scores are losses; differences are then shares of the other version's mean loss.
    """

    references: tuple[str, ...]
    scores: Floats
    groups: tuple[object, ...] | None = None
    losses: bool = False

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self.scores)

    @property
    def binary(self) -> bool:
        """Whether each score is 0 or 1."""
        return not self.losses and bool(np.isin(self.scores, (0.0, 1.0)).all())

    def means(self) -> Floats:
        """The mean of each version."""
        return np.asarray(self.scores.mean(axis=0), dtype=np.float64)

    def pair(self, first: int, second: int) -> Pair:
        """The difference ``first`` minus ``second``: above 0 where the first is the better one.

        Raises:
            UsageError: the mean loss of ``second`` is 0, and differences are shares of it.
        """
        one, other = self.scores[:, first], self.scores[:, second]
        if self.losses:
            if other.mean() < _LEAST_LOSS:
                raise UsageError(
                    f"The mean loss of {self.references[second]} is {other.mean():g}, and losses are compared as shares of each "
                    "other; compare scores from 0 to 1 instead, such as exact matches.",
                    code="no_loss",
                )
            gain, weight = _by_group((other - one, other), self.groups)
            return Graded(gain, weight, lowest=None, highest=None)
        if self.binary and not _has_groups(self.groups):
            return RightOrWrong(int((one > other).sum()), int((one < other).sum()), self.rows)
        return Graded(*_by_group((one - other, np.ones_like(one)), self.groups))

    def interval(self, column: int, confidence: float = 0.95) -> tuple[float, float]:
        """In which the true mean of one version lies: Wilson's interval, or for other scores the tilted test's."""
        one, grouped = self.scores[:, column], _has_groups(self.groups)
        if self.binary and not grouped:
            found = binomtest(int(one.sum()), self.rows).proportion_ci(confidence, method="wilson")
            return float(found.low), float(found.high)
        gain, weight = _by_group((one, np.ones_like(one)), self.groups)
        alone = Graded(gain, weight, *((None, None) if self.losses else (0.0, 1.0)))
        tail = (1 - confidence) / 2
        return lower_bound(alone, tail), upper_bound(alone, tail)


def _has_groups(groups: Sequence[object] | None) -> bool:
    """Whether any two rows belong together."""
    return groups is not None and len(set(groups)) < len(groups)


def _by_group(columns: tuple[Floats, Floats], groups: Sequence[object] | None) -> tuple[Floats, Floats]:
    """Both columns, added up over the rows of each group."""
    if groups is None or not _has_groups(groups):
        return columns
    places: dict[object, int] = {}
    index = np.array([places.setdefault(group, len(places)) for group in groups])
    first, second = (np.bincount(index, column).astype(np.float64) for column in columns)
    return first, second
