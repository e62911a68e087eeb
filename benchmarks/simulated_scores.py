"""Scores of versions whose true differences are known."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def right_or_wrong(source: np.random.Generator, rows: int, versions: int, differing: float, behind: float) -> Floats:
    """The first version is right on 70 % of rows; each other one differs from it on that share, and is behind by that much.

    ``behind`` is at most ``differing``: then all differing rows are lost.
    """
    best = source.random(rows) < 0.7
    lost, won = (differing + behind) / 2, (differing - behind) / 2
    chance = source.random((rows, versions - 1))
    others = np.where(best[:, None], chance >= lost / 0.7, chance < won / 0.3)
    return np.column_stack([best, others]).astype(np.float64)


def graded(source: np.random.Generator, rows: int, versions: int, differing: float, behind: float) -> Floats:
    """Scores in twentieths. On differing rows a version falls to a part of its score, or rises by a part of what is missing.

    The best scores 2/3 in the mean, so a fall costs 1/3, a rise gives 1/6, and ``behind`` is at most a third of ``differing``.
    """
    best = source.beta(2, 1, rows)
    falls = 2 * (behind / differing + 1 / 6)
    shape = rows, versions - 1
    part, fall = source.random(shape), source.random(shape) < falls
    changed = np.where(fall, best[:, None] * part, best[:, None] + (1 - best[:, None]) * part)
    others = np.where(source.random(shape) < differing, changed, best[:, None])
    every = np.column_stack([best, others])
    steps = np.floor(20 * every + source.random(rows)[:, None])  # rounded at random: the means stay
    return np.asarray(np.minimum(steps, 20) / 20, dtype=np.float64)
