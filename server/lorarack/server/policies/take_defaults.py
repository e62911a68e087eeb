"""What the version that answers brings along for requests."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from lorarack.server.caller import Caller
from lorarack.server.router import Ask, Route
from lorarack.server.version_defaults import DefaultsReader


class TakeDefaults:
    """A policy: puts the version's chat template and defaults on the route. After an arm is assigned, for each arm has its own."""

    def __init__(self, reader: DefaultsReader) -> None:
        self._reader = reader

    @asynccontextmanager
    async def __call__(self, ask: Ask, caller: Caller, route: Route) -> AsyncIterator[Route]:
        """The same route, with what the version brings along."""
        if route.adapter is None:
            yield route
            return
        yield replace(route, defaults=await self._reader.read(route.adapter))
