"""A histogram of latencies: what guards need of millions of requests, in a few hundred counts."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

#: Each bucket reaches 5 % further than the one before it.
_GROWTH = math.log(1.05)


@dataclass(frozen=True, slots=True)
class Latencies:
    """Bucket -> how many latencies fell into it. Bucket b holds those above ``edge(b - 1)`` and up to ``edge(b)``."""

    buckets: Mapping[int, int] = field(default_factory=dict)

    def observe(self, seconds: float) -> Self:
        """With one more latency, above 0."""
        bucket = math.ceil(math.log(seconds) / _GROWTH - 1e-9)
        return type(self)({**self.buckets, bucket: self.buckets.get(bucket, 0) + 1})

    @property
    def count(self) -> int:
        """Latencies so far."""
        return sum(self.buckets.values())

    def surely_above(self, seconds: float) -> int:
        """How many are above ``seconds`` whatever they are within their bucket."""
        return sum(count for bucket, count in self.buckets.items() if edge(bucket - 1) >= seconds * (1 - 1e-9))


def edge(bucket: int) -> float:
    """The upper edge of a bucket, in seconds."""
    return math.exp(bucket * _GROWTH)
