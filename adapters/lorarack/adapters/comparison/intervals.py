"""How sure a number from a limited number of rows can be."""

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from lorarack.registry.values import Value

Floats = npt.NDArray[np.float64]

RESAMPLES = 10_000
_SEED = 20_000


class Interval(Value):
    """A mean over rows and the interval in which the true one lies with the given confidence."""

    mean: float
    low: float
    high: float
    confidence: float

    @property
    def excludes_zero(self) -> bool:
        """Whether zero lies outside: beyond noise, at this confidence."""
        return self.low > 0 or self.high < 0


def wilson(scores: Sequence[float], confidence: float = 0.95) -> Interval:
    """Wilson's score interval for a share of rows, each 0 or 1.

    It never leaves 0 to 1 and is not empty when all rows are right or all wrong. Source: E. B. Wilson, "Probable
    inference, the law of succession, and statistical inference", JASA 22 (1927).
    """
    rows, share = len(scores), sum(scores) / len(scores)
    z = quantile(confidence)
    centre = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z / (1 + z * z / rows) * math.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows))
    return Interval(mean=share, low=max(0.0, centre - half), high=min(1.0, centre + half), confidence=confidence)


def bootstrap(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """BCa interval for the mean of ``values``: 10,000 resamples of the rows, always with the same seed.

    BCa corrects the percentiles for bias and skew. Source: B. Efron, "Better bootstrap confidence intervals", JASA 82
    (1987); the acceleration comes from the jackknife. Where all values are equal no resample differs, and the interval
    is a single point.
    """
    sample = np.asarray(values, dtype=np.float64)
    mean = float(sample.mean())
    if np.ptp(sample) == 0.0:
        return Interval(mean=mean, low=mean, high=mean, confidence=confidence)
    means = _resampled_means(sample)
    bias = _bias(means, mean)
    acceleration = _acceleration(sample)
    tails = (1 - confidence) / 2, (1 + confidence) / 2
    low, high = np.quantile(means, [_corrected(tail, bias, acceleration) for tail in tails])
    return Interval(mean=mean, low=float(low), high=float(high), confidence=confidence)


def quantile(confidence: float) -> float:
    """How many standard deviations to both sides of the mean hold that share of a normal distribution."""
    return NormalDist().inv_cdf((1 + confidence) / 2)


def _resampled_means(sample: Floats) -> Floats:
    source = np.random.default_rng(_SEED)
    picked = (sample[source.integers(0, len(sample), size=(count, len(sample)))] for count in portions(RESAMPLES))
    return np.concatenate([part.mean(axis=1) for part in picked])


def portions(total: int, at_once: int = 500) -> list[int]:
    """``total`` in parts of at most ``at_once``, so that memory does not grow with it."""
    whole, rest = divmod(total, at_once)
    return [at_once] * whole + [rest] * bool(rest)


def _bias(means: Floats, mean: float) -> float:
    """z₀; resamples equal to the mean count half, since scores come in steps."""
    below = float((means < mean).mean() + (means == mean).mean() / 2)
    return NormalDist().inv_cdf(min(max(below, 0.5 / RESAMPLES), 1 - 0.5 / RESAMPLES))


def _acceleration(sample: Floats) -> float:
    """Of a mean the jackknife gives a sixth of the sample's skewness over √n."""
    centred = sample - sample.mean()
    centred /= np.abs(centred).max()  # the scale does not matter, and tiny values would vanish in their cubes
    return float((centred**3).sum() / (6 * (centred**2).sum() ** 1.5))


def _corrected(tail: float, bias: float, acceleration: float) -> float:
    normal = NormalDist()
    shifted = bias + normal.inv_cdf(tail)
    return normal.cdf(bias + shifted / (1 - acceleration * shifted))
