"""How many tokens each adapter was served: the virtual token counters of a fair queue.

Sheng et al., "Fairness in serving large language models" (OSDI 2024): the next request is that of the adapter with the smallest
counter; an adapter that comes back after having nothing to do starts no lower than the smallest counter of those at work, so that
idle time earns no credit. What a request generates is charged as expected when it begins, and corrected when it ends
(the paper's section on length prediction): most routes say only at the end how much it was.
"""

from collections.abc import Iterable

#: How much the newest request counts in what the next one is expected to generate.
_NEWEST = 0.2
#: The same in what any one is expected to.
_NEWEST_OF_ALL = 0.02


class TokenCounters:
    """Served tokens by adapter, each token as dear as it is to make: one that is generated counts for two that are read."""

    READ_COST = 1.0
    GENERATED_COST = 2.0

    def __init__(self) -> None:
        self._served: dict[str, float] = {}
        self._expected: dict[str, float] = {}
        #: What a request of any adapter generates: a moving average, from a guess on.
        self.tokens_each = 32.0

    def __getitem__(self, adapter: str) -> float:
        return self._served.get(adapter, 0.0)

    def arrive(self, adapter: str, active: Iterable[str]) -> None:
        """``adapter`` has requests again; ``active`` are the others that have some, waiting or being answered."""
        lowest = min((self[other] for other in active if other != adapter), default=None)
        if lowest is None:
            # Nothing is running: earlier counts no longer matter, and keeping them would grow without bound.
            self._served = {adapter: 0.0}
        else:
            self._served[adapter] = max(self[adapter], lowest)

    def charge(self, adapter: str, read: float, generated: float) -> None:
        """Tokens were read or generated for ``adapter``; fewer than 0: that many less than were charged."""
        cost = self.READ_COST * read + self.GENERATED_COST * generated
        self._served[adapter] = max(0.0, self[adapter] + cost)

    def expected(self, adapter: str) -> float:
        """Tokens that a request of ``adapter`` generates, by those before: a moving average."""
        return self._expected.get(adapter, 0.0)

    def expect(self, adapter: str, generated: int) -> None:
        """A request of ``adapter`` has generated so many tokens."""
        before = self._expected.get(adapter, float(generated))
        self._expected[adapter] = before + _NEWEST * (generated - before)
        self.tokens_each += _NEWEST_OF_ALL * (generated - self.tokens_each)
