"""Limits on what one adapter, or one key, may have at once and in a minute."""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lorarack.registry.errors import RateLimited

_MINUTE = 60.0


@dataclass(slots=True)
class _Budget:
    """Tokens that are left, at a moment; below 0: what the last request took beyond them."""

    left: float
    at: float


class Quotas:
    """Holds every adapter, or every key, to the same two limits. For one event loop.

    What a request costs is known at its end. So one is let in while any token is left, and what it took beyond that is paid by
    those that follow: over time no one exceeds the limit.

    Args:
        of: ``adapter`` or ``key``, for errors.
        requests: at once; None: any number.
        tokens: a minute, read and generated, of which a whole minute's can be saved up; None: any number.
        clock: seconds.
    """

    def __init__(
        self, of: str, requests: int | None, tokens: int | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._of = of
        self._requests = requests
        self._tokens = tokens
        self._clock = clock
        self._running: Counter[str] = Counter()
        self._budgets: dict[str, _Budget] = {}

    @contextmanager
    def held(self, name: str) -> Iterator[None]:
        """Counts as a request of ``name`` while the block runs.

        Raises:
            RateLimited: one of the limits is reached.
        """
        if self._requests is not None and self._running[name] >= self._requests:
            raise self._refused(f"{self._requests} requests of the {self._of} {name!r} run already", 1)
        if self._tokens is not None and (left := self._left(name)) <= 0:
            seconds = math.floor(-left * _MINUTE / self._tokens) + 1
            raise self._refused(f"the {self._of} {name!r} has used its {self._tokens} tokens a minute", seconds)
        self._running[name] += 1
        try:
            yield
        finally:
            self._running[name] -= 1
            if not self._running[name]:
                del self._running[name]

    def spend(self, name: str, tokens: int) -> None:
        """So many tokens were read or generated for ``name``."""
        if self._tokens is not None and tokens:
            self._budgets[name] = _Budget(self._left(name) - tokens, self._clock())
            if len(self._budgets) > 2 * len(self._running) + 1000:  # who has all its tokens left need not be remembered
                self._budgets = {each: b for each, b in self._budgets.items() if self._left(each) < self._tokens}

    def _left(self, name: str) -> float:
        assert self._tokens is not None  # noqa: S101 - asked for only where there is a budget
        budget = self._budgets.get(name)
        if budget is None:
            return self._tokens
        return min(self._tokens, budget.left + (self._clock() - budget.at) * self._tokens / _MINUTE)

    def _refused(self, reason: str, seconds: int) -> RateLimited:
        return RateLimited(
            f"{reason[0].upper()}{reason[1:]}, which is this server's limit; try again in {seconds} s.",
            retry_after=seconds,
        )
