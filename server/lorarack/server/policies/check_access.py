"""Whether the caller's key is for the adapter that it asks for."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from lorarack.registry.errors import NotAllowed
from lorarack.server.caller import Caller
from lorarack.server.router import Ask, Route


class CheckAccess:
    """A policy: refuses by the name alone, before it is looked up, so that a key does not reveal which names exist."""

    def __init__(self, base_names: frozenset[str]) -> None:
        self._base_names = base_names

    @asynccontextmanager
    async def __call__(self, ask: Ask, caller: Caller, route: Route) -> AsyncIterator[Route]:
        """The same route."""
        check_access(ask.model or route.version, caller, self._base_names)
        yield route


def check_access(model: str, caller: Caller, base_names: frozenset[str]) -> None:
    """Check that ``caller`` may use ``model``, a reference or a name of the base.

    Raises:
        NotAllowed: its key is for others.
    """
    name = model if model in base_names else model.partition("@")[0]
    if not caller.may_use(name):
        raise NotAllowed(f"The key {caller.name!r} is not for {name!r}; GET /v1/models lists what it is for.")
