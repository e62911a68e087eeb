"""Losses row by row: a mean with its standard error, and a change measured on the same rows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

Row = TypeVar("Row")


def evenly(rows: Sequence[Row], count: int) -> Sequence[Row]:
    """At most ``count`` of the rows, as far from each other in all places."""
    return rows[:: max(1, -(-len(rows) // count))]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean and its standard error, which is 0 where there is one row only."""

    mean: float
    error: float


@dataclass(frozen=True, slots=True)
class RowLosses:
    """The cross entropies of the learned tokens of each row: ``sums``, and over how many ``tokens``."""

    sums: tuple[float, ...]
    tokens: tuple[int, ...]

    @property
    def mean(self) -> float:
        """The loss: the mean over all tokens, each counting the same."""
        return math.fsum(self.sums) / sum(self.tokens)

    @property
    def estimate(self) -> Estimate:
        """The loss with its standard error over rows, which are what was drawn; tokens of one row depend on each other."""
        return _ratio(self.sums, self.tokens)

    @property
    def by_row(self) -> tuple[float, ...]:
        """Each row's own mean."""
        return tuple(total / count for total, count in zip(self.sums, self.tokens, strict=True))

    def sample(self, rows: int) -> "RowLosses":
        """Those of at most so many rows, ``evenly`` drawn."""
        return RowLosses(tuple(evenly(self.sums, rows)), tuple(evenly(self.tokens, rows)))

    def change_since(self, earlier: "RowLosses") -> Estimate:
        """How much higher the loss is than ``earlier`` on the same rows. Paired, so rows that are hard for both say nothing."""
        changes = [now - before for now, before in zip(self.sums, earlier.sums, strict=True)]
        return _ratio(changes, self.tokens)


def _ratio(sums: Sequence[float], tokens: Sequence[int]) -> Estimate:
    """The ratio of two sums and its standard error by linearisation (W. G. Cochran, Sampling Techniques, 1977, 6.4)."""
    rows, count = len(sums), sum(tokens)
    mean = math.fsum(sums) / count
    if rows < 2:
        return Estimate(mean, 0.0)
    squares = math.fsum((total - mean * size) ** 2 for total, size in zip(sums, tokens, strict=True))
    return Estimate(mean, math.sqrt(squares * rows / (rows - 1)) / count)
