"""Which version a model name means now, and whether this server can serve it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from lorarack.server.caller import Caller
from lorarack.server.limits import Limits, check_serveable
from lorarack.server.reference_resolver import ReferenceResolver
from lorarack.server.router import Ask, Route
from lorarack.server.spans import span


class ResolveReference:
    """A policy: from a name to an exact version."""

    def __init__(self, base_names: frozenset[str], resolver: ReferenceResolver, limits: Limits) -> None:
        self._base_names = base_names
        self._resolver = resolver
        self._limits = limits

    @asynccontextmanager
    async def __call__(self, ask: Ask, caller: Caller, route: Route) -> AsyncIterator[Route]:
        """The route to what ``ask.model`` names."""
        if not ask.model:
            yield route
        elif ask.model in self._base_names:
            yield replace(route, engine_name=ask.model)
        else:
            with span("lorarack.resolve"):
                version = await self._resolver.resolve(ask.model, suggest=caller.sees_all)
                check_serveable(version, self._limits)
            # Tokens are the base's for all adapters, and only the base is sure to be loaded.
            engine_name = version.reference if ask.load else route.engine_name
            yield replace(
                route, version=version.reference, engine_name=engine_name, digest=version.digest, adapter=version
            )
