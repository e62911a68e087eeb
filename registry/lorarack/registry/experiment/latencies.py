"""A histogram of latencies: what guards need of millions of requests, in a few hundred counts."""

import math

from pydantic import Field

from lorarack.registry.value import Value

#: Each bucket reaches 5 % further than the one before it.
_GROWTH = math.log(1.05)


class Latencies(Value):
    """Bucket -> how many latencies fell into it. Bucket b holds those above ``edge(b - 1)`` and up to ``edge(b)``."""

    buckets: dict[int, int] = Field(default_factory=dict)

    def observe(self, seconds: float) -> "Latencies":
        """With one more latency; what a clock cannot tell from 0 counts as a microsecond."""
        bucket = math.ceil(math.log(max(seconds, 1e-6)) / _GROWTH - 1e-9)
        return Latencies(buckets={**self.buckets, bucket: self.buckets.get(bucket, 0) + 1})

    @property
    def count(self) -> int:
        """Latencies so far."""
        return sum(self.buckets.values())

    def surely_above(self, seconds: float) -> int:
        """How many are above ``seconds`` whatever they are within their bucket."""
        return sum(count for bucket, count in self.buckets.items() if edge(bucket - 1) >= seconds * (1 - 1e-9))

    def quantile(self, share: float) -> float | None:
        """The upper edge of the bucket that holds that quantile, in seconds; None of none."""
        left = share * self.count
        for bucket in sorted(self.buckets):
            left -= self.buckets[bucket]
            if left <= 0:
                return edge(bucket)
        return None


def edge(bucket: int) -> float:
    """The upper edge of a bucket, in seconds."""
    return math.exp(bucket * _GROWTH)
