"""Requests that have not ended: a stopping server finishes them and takes no more."""

import threading

from lorarack.server.exchange import Observer


class OpenRequests:
    """Counts requests from start to end. `wait` is for a thread of its own, the rest for the event loop."""

    def __init__(self) -> None:
        self._count = 0
        self._changed = threading.Condition()
        self._draining = False

    @property
    def draining(self) -> bool:
        """Whether the server was told to stop."""
        return self._draining

    @property
    def observer(self) -> Observer:
        """What counts."""
        return Observer(start=lambda _: self._add(1), end=lambda _: self._add(-1))

    def begin_drain(self) -> None:
        """From now on `draining` is true."""
        self._draining = True

    def wait(self, seconds: float) -> None:
        """Until no request is open, and no longer than ``seconds``."""
        with self._changed:
            self._changed.wait_for(lambda: self._count == 0, seconds)

    def _add(self, number: int) -> None:
        with self._changed:
            self._count += number
            self._changed.notify_all()
