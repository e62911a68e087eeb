"""Has the engine hold the version while a request is answered."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from lorarack.server.caller import Caller
from lorarack.server.residency import Residency
from lorarack.server.router import Ask, Route


class EnsureLoaded:
    """A policy: loads the version, and keeps it from being unloaded before the request ends."""

    def __init__(self, residency: Residency) -> None:
        self._residency = residency

    @asynccontextmanager
    async def __call__(self, ask: Ask, caller: Caller, route: Route) -> AsyncIterator[Route]:
        """The same route, loaded."""
        if route.adapter is None or not ask.load:
            yield route
            return
        async with self._residency.use(route.adapter):
            yield route
