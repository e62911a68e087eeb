"""Evidence about a mean that may be looked at after every observation (e-values).

Each function returns the logarithm of a wealth that starts at 1 and, while the mean is on the other side of ``bound``, is expected
not to grow, whatever was observed before. By Ville's inequality it then reaches 1/alpha, ever, with probability alpha at most: no
number of looks makes that wrong. The wealth is that of a bettor who spreads his stake over a fixed grid of bets, so it depends on
counts or sums only and not on the order of the observations; those few numbers are all that has to be kept.

Sources: Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting" (JRSS B, 2024); Howard, Ramdas,
McAuliffe and Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences" (Annals of Statistics, 2021).
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]

#: Bets as shares of the largest one that cannot ruin the bettor: from nearly all (rare, large effects) down to 1/300 (small ones).
BETS: Floats = np.asarray(0.98 * 2.0 ** (-0.5 * np.arange(17)), dtype=np.float64)
_LOG_STAKE = float(np.log(1 / len(BETS)))


def log_evidence_above(bound: float | Floats, values: Floats, counts: Floats, lowest: float) -> Floats:
    """Evidence that the mean is above ``bound``, from how often each of a few possible values was observed.

    Args:
        bound: above ``lowest``; one, or many of shape (...).
        values: the k values that an observation can have.
        counts: how often each was observed; shape (..., k).
        lowest: the smallest value that an observation can have at all.

    Returns:
        The log wealth; shape (...).
    """
    return spread(log_wealths_above(bound, values, counts, lowest))


def log_wealths_above(bound: float | Floats, values: Floats, counts: Floats, lowest: float) -> Floats:
    """As ``log_evidence_above``, of each bet by itself; shape (..., bets).

    The sum over observations of several kinds, each with its own ``values`` and ``lowest``, is the log wealth over all of them.
    """
    bounds = np.asarray(bound, dtype=float)[..., None, None]
    odds = np.log1p(BETS[:, None] * (np.asarray(values) - bounds) / (bounds - lowest))
    wealths: Floats = np.einsum("...k,...bk->...b", np.asarray(counts, dtype=float), odds)
    return wealths


def log_evidence_above_from_sums(bound: float | Floats, count: Floats, total: Floats, deviation: Floats) -> Floats:
    """Evidence that the mean of observations in [0, 1] is above ``bound``, from sums (empirical Bernstein).

    Also right when the mean drifts: it is then about the average of the means so far.

    Args:
        bound: the mean that is argued against; one, or many of shape (...).
        count: observations; shape (...).
        total: their sum.
        deviation: the sum of their squared distances, each from an estimate made before it was seen.

    Returns:
        The log wealth; shape (...).
    """
    return spread(log_wealths_above_from_sums(bound, count, total, deviation))


def log_wealths_above_from_sums(bound: float | Floats, count: Floats, total: Floats, deviation: Floats) -> Floats:
    """As ``log_evidence_above_from_sums``, of each bet by itself; shape (..., bets). Sums of several kinds may be added."""
    bets = BETS
    price = -np.log1p(-bets) - bets
    bound, count, total, deviation = (
        np.asarray(each, dtype=float)[..., None] for each in (bound, count, total, deviation)
    )
    wealths: Floats = bets * (total - count * bound) - price * deviation
    return wealths


def spread(wealths: Floats) -> Floats:
    """The log of the average of wealths given as logs along the last axis."""
    top = wealths.max(axis=-1, keepdims=True)
    summed: Floats = np.log(np.exp(wealths - top).sum(axis=-1)) + top[..., 0] + _LOG_STAKE
    return summed
