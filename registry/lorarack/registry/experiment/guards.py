"""Guards: rules that stop an arm by themselves when it has surely crossed them."""

import math
import re
from dataclasses import dataclass
from typing import Self

import numpy as np

from lorarack.registry.errors import UsageError
from lorarack.registry.experiment.evidence import log_evidence_above
from lorarack.registry.experiment.latencies import Latencies, edge

_GRAMMAR = re.compile(
    r"(?P<metric>error_rate|(?P<latency>ttft|itl|e2e)_p(?P<percent>\d{1,2}))\s*<\s*(?P<bound>\d+(?:\.\d+)?)(?P<unit>x|ms|s|%)?"
)
_SHARE = np.array([0.0, 1.0])
#: A guard that holds is crossed, ever, with this probability at most.
ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Guard:
    """``error_rate<0.02``, ``ttft_p95<2s`` or, next to the reference arm, ``ttft_p95<1.2x``.

    Attributes:
        metric: ``error_rate``, or a latency: ``ttft`` (first token), ``itl`` (between tokens), ``e2e`` (whole request).
        share: of requests that may fail or be slower: 0.02, or 0.05 for p95.
        seconds: the latency, if the guard names one.
        factor: times the reference arm's own latency, if it names that.
    """

    metric: str
    share: float
    seconds: float | None = None
    factor: float | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """A guard from its text.

        Raises:
            UsageError: not a guard, or one that cannot be kept or crossed.
        """
        found = _GRAMMAR.fullmatch(text.strip())
        problem = f"{text!r} is no guard; write error_rate<0.02, ttft_p95<2s or ttft_p95<1.2x."
        if found is None:
            raise UsageError(problem)
        bound, unit = float(found["bound"]), found["unit"]
        if found["metric"] == "error_rate":
            share = bound / 100 if unit == "%" else bound
            if unit not in (None, "%") or not 0 < share < 1:
                raise UsageError(problem)
            return cls("error_rate", share)
        share = 1 - int(found["percent"]) / 100
        if unit not in ("x", "ms", "s") or not bound or not int(found["percent"]):
            raise UsageError(problem)
        if unit == "x":
            if bound <= 1:
                raise UsageError(
                    f"The guard {text!r} asks for more than the reference arm gives; give a factor above 1."
                )
            return cls(found["latency"], share, factor=bound)
        return cls(found["latency"], share, seconds=bound / 1000 if unit == "ms" else bound)

    def crossed_by_errors(self, requests: int, errors: int) -> bool:
        """Whether an arm's error rate is surely above the guard's."""
        return _surely_above(self.share, requests, errors, ALPHA)

    def crossed_by_latencies(self, arm: Latencies, reference: Latencies) -> bool:
        """Whether more of an arm's requests than allowed are surely slower than the guard's latency."""
        if self.seconds is not None:
            return _surely_above(self.share, arm.count, arm.surely_above(self.seconds), ALPHA)
        # Half of alpha for the reference's quantile to be below what is taken for it, half for the arm. The second is right for
        # the true quantile, hence for anything above it, at whatever moment it was found.
        quantile = _quantile_below(reference, self.share, ALPHA / 2)
        slow = arm.surely_above((self.factor or 1.0) * quantile)
        return _surely_above(self.share, arm.count, slow, ALPHA / 2)


def _surely_above(share: float, count: int, hits: int, alpha: float) -> bool:
    counts = np.array([count - hits, hits])
    return float(log_evidence_above(share, _SHARE, counts, 0.0)) >= math.log(1 / alpha)


def _quantile_below(latencies: Latencies, share: float, alpha: float) -> float:
    """A latency that surely no more than ``share`` of requests exceed; infinity when too few were observed."""
    count = latencies.count
    faster = 0
    for bucket in sorted(latencies.buckets):
        faster += latencies.buckets[bucket]
        if _surely_above(1 - share, count, faster, alpha):
            return edge(bucket)
    return math.inf
