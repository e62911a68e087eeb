"""Has shadow answers give way to a request, and begin again after it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from lorarack.server.caller import Caller
from lorarack.server.router import Ask, Route
from lorarack.server.shadows import Shadows


class MakeRoom:
    """A policy: the last one, when the request has its row and its adapter's slot."""

    def __init__(self, shadows: Shadows) -> None:
        self._shadows = shadows

    @asynccontextmanager
    async def __call__(self, ask: Ask, caller: Caller, route: Route) -> AsyncIterator[Route]:
        """The same route."""
        if not ask.load:
            yield route
            return
        self._shadows.give_way()
        yield route
