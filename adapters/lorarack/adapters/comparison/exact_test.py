"""Paired right-or-wrong scores: an exact test of how much one version is behind another.

What counts are the rows that differ: ``wins`` on one side, ``losses`` on the other, of so many ``rows``. The statistic is
Tango's score test of non-inferiority; its p-value is exact, not taken from the normal distribution: the largest probability of
so large a statistic over all shares of differing rows that the data leave plausible (Berger and Boos). Sources: T. Tango,
"Equivalence test and confidence interval for the difference in proportions for the paired-sample design", Statistics in
Medicine 17 (1998); R. L. Berger and D. D. Boos, "P values maximized over a confidence set for the nuisance parameter", JASA 89
(1994).
"""

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.special import betainc, betaincinv, gammaln, ndtr, xlogy

Floats = npt.NDArray[np.float64]

#: How often the true share of differing rows may lie outside the range that is searched; the p-value is raised by it.
_OUTSIDE = 1e-4
#: Shares tried in that range.
_SHARES = 12
#: From so many differing rows on, expected under the null hypothesis, the normal distribution is exact enough.
_MANY = 2_000


def score_statistic(wins: Floats, losses: Floats, rows: int, at: float) -> Floats:
    """Tango's statistic for a true difference of ``at`` (between -1 and 1): large where ``wins`` speak for a larger one."""
    lost = _likely_losses(wins, losses, rows, at)
    variance = rows * np.maximum(2 * lost + at - at * at, 1e-300)
    return (wins - losses - rows * at) / np.sqrt(variance)


@lru_cache(4096)
def exact_p_value(wins: int, losses: int, rows: int, at: float) -> float:
    """How often chance alone gives so large a statistic if the true difference is ``at`` or less."""
    if at <= -1:
        return 0.0
    won, lost = np.asarray(wins, dtype=np.float64), np.asarray(losses, dtype=np.float64)
    seen = float(score_statistic(won, lost, rows, at))
    likely = float(_likely_losses(won, lost, rows, at))
    if rows * (2 * likely + at) >= _MANY:
        return float(ndtr(-seen))
    low, high = _plausible_shares(wins + losses, rows)
    if high <= abs(at):
        return _OUTSIDE  # even if all differing rows were lost, it would not be behind so far
    shares = np.linspace(max(low, abs(at)), high, _SHARES)
    nuisance = np.append((shares - at) / 2, np.clip(likely, max(0.0, -at), (1 - at) / 2))
    return min(1.0, float(_tails(seen, nuisance, rows, at).max()) + _OUTSIDE)


def _likely_losses(wins: Floats, losses: Floats, rows: int, at: float) -> Floats:
    """The likeliest probability of a loss where wins are likelier by ``at``."""
    half = (wins + losses) * (1 - at) - 2 * at * (rows - wins)
    root = np.sqrt(np.maximum(half * half + 8 * rows * losses * at * (1 - at), 0.0))
    return np.asarray(np.maximum((half + root) / (4 * rows), max(0.0, -at)), dtype=np.float64)


def _plausible_shares(differing: int, rows: int) -> tuple[float, float]:
    """Clopper and Pearson's interval for the share of differing rows."""
    tail = _OUTSIDE / 2
    low = float(betaincinv(differing, rows - differing + 1, tail)) if differing else 0.0
    high = float(betaincinv(differing + 1, rows - differing, 1 - tail)) if differing < rows else 1.0
    return low, high


def _tails(seen: float, lost: Floats, rows: int, at: float) -> Floats:
    """For each probability of a loss: how often the statistic is ``seen`` or more."""
    spread = math.sqrt(rows * float((lost * (1 - lost)).max()))
    width = min(rows + 1, int(14 * spread) + 30)
    first = np.clip(np.floor(rows * lost) - width // 2, 0, rows + 1 - width)
    losses = first[:, None] + np.arange(width)
    start = int(first.min())
    enough = _wins_needed(seen, np.arange(start, int(first.max()) + width, dtype=np.float64), rows, at)
    needed = enough[losses.astype(int) - start]
    rest = rows - losses
    log_counts = gammaln(rows + 1) - gammaln(losses + 1) - gammaln(rest + 1)
    chance = np.exp(log_counts + xlogy(losses, lost[:, None]) + xlogy(rest, 1 - lost[:, None]))
    win = np.clip((lost + at) / np.maximum(1 - lost, 1e-300), 0.0, 1.0)[:, None]
    tail = betainc(np.maximum(needed, 1), np.maximum(rest - needed + 1, 1e-9), win)
    tail = np.where(needed <= 0, 1.0, np.where(needed > rest, 0.0, tail))
    return np.asarray((chance * tail).sum(axis=1), dtype=np.float64)


def _wins_needed(seen: float, losses: Floats, rows: int, at: float) -> Floats:
    """For each number of losses: from how many wins on the statistic is at least ``seen``."""
    low, high = np.zeros_like(losses), rows - losses + 1
    for _ in range(int(math.log2(rows + 1)) + 1):
        middle = np.floor((low + high) / 2)
        enough = score_statistic(np.minimum(middle, rows - losses), losses, rows, at) >= seen - 1e-9
        enough &= middle <= rows - losses
        high = np.where(enough, middle, high)
        low = np.where(enough, low, np.minimum(middle + 1, high))
    return high
