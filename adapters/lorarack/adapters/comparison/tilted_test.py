"""Graded or grouped scores: a test of how much one version is behind another that holds for few and for rare differences.

Each unit (a row, or all rows of a group) has a value, whose mean is 0 or less under the null hypothesis. The values are given
the weights that make that true and are likeliest otherwise (empirical likelihood), among them a unit that was never seen: the
worst that there can be. The p-value is how often so many units, drawn with those weights, have so large a sum. It is computed by
Fourier transform, not drawn, so the same scores give the same answer. When no row differs it is (1 - margin) to the number of
rows: the chance to have missed every loss. Sums that differ by less than a tenth of the largest loss count as equal: beside rare
large losses the small gains, to which the weights were fitted, would break ties in favour of the version that is tested
(``tests/adapters/comparison/test_tilted_error_rate.py`` counts it).

Sources: B. Efron, "Nonparametric standard errors and confidence intervals", Canadian Journal of Statistics 9 (1981); A. B. Owen,
"Empirical likelihood ratio confidence intervals for a single functional", Biometrika 75 (1988).
"""

import math

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq

# Products are summed by numpy itself, never by `@`: the threads of a BLAS wait for each other on a busy machine, for tens of
# milliseconds in each of hundreds of calls.
Floats = npt.NDArray[np.float64]

#: The weights are estimated, which makes the p-value a little too small; by simulation by less than this factor
#: (``tests/adapters/comparison/test_error_rates.py``).
_ESTIMATED = 1.05
#: Of the largest loss: sums that are nearer than this count as equal.
_EQUAL = 0.1
#: Steps of the grid in one standard deviation of the sum.
_CELLS = 200
_LARGEST_GRID = 1 << 20
#: Scores are often fractions with a small denominator; on a grid of their own, ties are exact.
_DENOMINATORS = (*range(1, 61), 64, 72, 80, 84, 90, 96, 100, 120, 1000)


def tilted_p_value(
    values: Floats,
    worst: float,
    counts: Floats | None = None,
    lattice: Floats | None = None,
    lattice_worst: float = 0.0,
) -> float:
    """How often chance alone gives so large a sum if the true mean of ``values`` is 0 or less.

    Args:
        values: one for each unit, or each different one once, with ``counts``.
        worst: the least that a value can be; below 0.
        counts: how often each value is there; without it once.
        lattice: the same values shifted by a constant, where they lie on round numbers: ties are then exact.
        lattice_worst: ``worst`` shifted likewise.
    """
    if counts is None:
        values, seen = np.unique(values, return_counts=True)
        counts, lattice = seen.astype(np.float64), None
    if (counts * values).sum() <= 0:  # as the search for the weights begins, to the last digit
        return 1.0
    draws = round(float(counts.sum()))
    weights, unseen = null_weights(values, worst, counts)
    spread = math.sqrt(float((weights * values**2).sum()) + unseen * worst**2) * math.sqrt(draws)
    if lattice is None:
        lattice, lattice_worst = values, worst
    usual = float(lattice[np.argmax(counts)])  # from here on 0, so that what is usual falls on the grid
    units, total = np.append(lattice, lattice_worst) - usual, float((lattice * counts).sum()) - draws * usual
    found = _tail(units, np.append(weights, unseen), draws, total, spread)
    return min(1.0, _ESTIMATED * found)


def null_weights(values: Floats, worst: float, counts: Floats | None = None) -> tuple[Floats, float]:
    """The likeliest weights under which the mean is 0, and the weight of a ``worst`` unit that was not seen.

    ``values`` have a sum above 0; ``counts`` says how often each is there, without it once.
    """
    counts = np.ones_like(values) if counts is None else counts

    def slope(tilt: float) -> float:
        return float((counts * values / (1 + tilt * values)).sum())

    steepest = -(1 - 1e-12) / worst
    tilt = steepest if slope(steepest) >= 0 else float(brentq(slope, 0.0, steepest, xtol=1e-12))
    weights = counts / (counts.sum() * (1 + tilt * values))
    unseen = max(0.0, 1 - float(weights.sum()))
    whole = float(weights.sum()) + unseen
    return weights / whole, unseen / whole


def _tail(units: Floats, weights: Floats, draws: int, total: float, spread: float) -> float:
    """How often the sum of so many draws is ``total`` or more. The last unit is the one that was not seen."""
    total += _EQUAL * min(0.0, float(units[weights > 1e-9].min()))
    reach = 10 * spread + 2 * float(np.abs(units).max())
    step = _common_step(units) or 2.0 ** math.floor(math.log2(spread / _CELLS))
    step = max(step, 2 * reach / _LARGEST_GRID)
    size = 1 << math.ceil(math.log2(2 * reach / step + 2))
    places = units / step
    below = np.floor(places + 1e-6)
    above = np.clip(places - below, 0.0, 1.0)
    above[above < 1e-5] = 0.0
    index = below.astype(np.int64)
    chances = np.bincount(index % size, weights * (1 - above), size)
    chances += np.bincount((index + 1) % size, weights * above, size)
    sums = np.fft.irfft(np.fft.rfft(chances) ** draws, size)
    centre = round(draws * float((weights * units).sum()) / step)
    first = math.ceil(total / step - 1e-3)
    tail = sums[np.arange(first, max(first, centre + size // 2)) % size].sum()
    return min(1.0, max(0.0, float(tail)))


def _common_step(kinds: Floats) -> float | None:
    """The step of a grid that holds all these values, if they are few and simple."""
    if len(kinds) > 256:
        return None
    for denominator in _DENOMINATORS:
        places = kinds * denominator
        if np.abs(places - np.round(places)).max() < 1e-7:
            return 1 / denominator
    return None
