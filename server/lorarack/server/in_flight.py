"""Requests that are being answered: a version is unloaded after the last of its own, and the engine stopped after the last."""

import asyncio
import threading
from collections import Counter
from collections.abc import Hashable, Iterator
from contextlib import contextmanager


class InFlight:
    """Counts requests by what answers them. All but :meth:`drain` is for one event loop."""

    def __init__(self) -> None:
        self._counts: Counter[Hashable] = Counter()
        self._idle: dict[Hashable, asyncio.Event] = {}
        self._all = 0
        self._changed = threading.Condition()
        self._draining = False

    @property
    def draining(self) -> bool:
        """Whether the server was told to stop: requests under way are finished, new ones go elsewhere."""
        return self._draining

    @contextmanager
    def of(self, name: Hashable) -> Iterator[None]:
        """Count one request while the block runs."""
        self._counts[name] += 1
        with self._changed:
            self._all += 1
        try:
            yield
        finally:
            self._counts[name] -= 1
            if not self._counts[name]:
                del self._counts[name]
                if event := self._idle.pop(name, None):
                    event.set()
            with self._changed:
                self._all -= 1
                self._changed.notify_all()

    async def idle(self, name: Hashable) -> None:
        """Wait until no request is answered by ``name``."""
        while name in self._counts:
            await self._idle.setdefault(name, asyncio.Event()).wait()

    def begin_drain(self) -> None:
        """From now on :attr:`draining` is true."""
        self._draining = True

    def drain(self, seconds: float) -> None:
        """Wait, in a thread of its own, until no request is under way, and no longer than ``seconds``."""
        with self._changed:
            self._changed.wait_for(lambda: self._all == 0, seconds)
