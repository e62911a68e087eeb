"""Scores of versions whose true differences are known. ``behind`` is one number for all but the first version, or one for each."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def right_or_wrong(
    source: np.random.Generator, rows: int, versions: int, differing: float, behind: float | Floats
) -> Floats:
    """The first version is right on 70 % of rows; each other one differs from it on that share, and is behind by that much.

    ``behind`` is at most ``differing``: then all differing rows are lost.
    """
    best = source.random(rows) < 0.7
    lost, won = (differing + behind) / 2, (differing - behind) / 2
    chance = source.random((rows, versions - 1))
    others = np.where(best[:, None], chance >= lost / 0.7, chance < won / 0.3)
    return np.column_stack([best, others]).astype(np.float64)


def graded(source: np.random.Generator, rows: int, versions: int, differing: float, behind: float | Floats) -> Floats:
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


def hidden_losses(
    source: np.random.Generator, rows: int, versions: int, differing: float, behind: float | Floats
) -> Floats:
    """The best scores 0.9 everywhere; the others lose all of it on rare rows, and gain 0.02 on a share of the others."""
    shape = rows, versions - 1
    lost = source.random(shape) < (behind + 0.02 * differing) / (0.9 + 0.02 * differing)
    others = np.where(lost, 0.0, np.where(source.random(shape) < differing, 0.92, 0.9))
    return np.column_stack([np.full(rows, 0.9), others])


def mostly_zero(
    source: np.random.Generator, rows: int, versions: int, differing: float, behind: float | Floats
) -> Floats:
    """Scores, in hundredths, are 0 but on a share of rows, where they are anything up to 1; each version has rows of its own."""
    shares = np.append(differing, np.broadcast_to(differing - 2 * np.asarray(behind), versions - 1))
    shape = rows, versions
    return np.where(
        source.random(shape) < shares, np.floor(100 * source.random(shape) + source.random(shape)) / 100, 0.0
    )
