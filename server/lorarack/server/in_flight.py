"""Requests by what answers them: a version is unloaded after the last of its own."""

import asyncio
from collections import Counter
from collections.abc import Hashable, Iterator
from contextlib import contextmanager


class InFlight:
    """Counts requests by version. For one event loop."""

    def __init__(self) -> None:
        self._counts: Counter[Hashable] = Counter()
        self._idle: dict[Hashable, asyncio.Event] = {}

    @contextmanager
    def hold(self, key: Hashable) -> Iterator[None]:
        """Count one request to ``key`` while the block runs."""
        self._counts[key] += 1
        try:
            yield
        finally:
            self._counts[key] -= 1
            if not self._counts[key]:
                del self._counts[key]
                if event := self._idle.pop(key, None):
                    event.set()

    async def idle(self, key: Hashable) -> None:
        """Wait until no request is answered by ``key``."""
        while key in self._counts:
            await self._idle.setdefault(key, asyncio.Event()).wait()
