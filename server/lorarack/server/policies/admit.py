"""When a request may run: within the limits of its adapter and its key, and in its adapter's turn where the engine is full."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from lorarack.server.admission.fair_queue import FairQueue, QueueLimits
from lorarack.server.admission.quotas import Quotas
from lorarack.server.caller import Caller
from lorarack.server.exchange import Exchange, Observer
from lorarack.server.router import Ask, Route
from lorarack.server.settings import AdmissionLimits

#: One that the engine has begun already, one while the answer and the next request are on their way, one that this is read in.
STEPS_AHEAD = 3.0


class Admit:
    """A policy: holds a place in the engine while a request is answered. Its ``observer`` charges what the request took."""

    def __init__(self, queue: FairQueue, adapters: Quotas, keys: Quotas) -> None:
        self._queue = queue
        self._adapters = adapters
        self._keys = keys

    @classmethod
    def within(cls, limits: AdmissionLimits, rows: int) -> "Admit":
        """For an engine that computes ``rows`` requests at once."""
        ahead = 0.0 if limits.max_running else STEPS_AHEAD
        return cls(
            FairQueue(QueueLimits(limits.max_running or rows, limits.max_waiting, ahead)),
            Quotas("adapter", limits.adapter_concurrency, limits.adapter_tokens_per_minute),
            Quotas("key", limits.key_concurrency, limits.key_tokens_per_minute),
        )

    @asynccontextmanager
    async def __call__(self, ask: Ask, caller: Caller, route: Route) -> AsyncIterator[Route]:
        """The same route, with a place."""
        if not ask.load:  # counting tokens takes no row
            yield route
            return
        name = _adapter_of(route)
        with self._keys.held(caller.name), self._adapters.held(name):
            async with self._queue.admitted(name, ask.tokens) as place:
                yield replace(route, place=place)

    @property
    def running(self) -> int:
        """Requests inside the engine."""
        return self._queue.running

    @property
    def observer(self) -> Observer:
        """What charges a request at its end."""
        return Observer(end=self._settle)

    def _settle(self, exchange: Exchange) -> None:
        route = exchange.route
        if route is None or route.place is None:
            return
        place, usage = route.place, exchange.usage
        if usage is not None:
            place.settle(usage.prompt, usage.completion)
        elif exchange.status is not None and exchange.status >= 400:  # refused: the engine did nothing
            place.settle(0, 0)
        took = place.read + round(place.generated)
        self._adapters.spend(_adapter_of(route), took)
        self._keys.spend(exchange.caller.name, took)


def _adapter_of(route: Route) -> str:
    return route.adapter.adapter if route.adapter else route.version
