"""From what a request asks for, and who asks, to what answers it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from lorarack.registry import Version
from lorarack.registry.access import Scope
from lorarack.registry.errors import NotAllowed
from lorarack.registry.experiment.shadow import SkipReason
from lorarack.server.admission.fair_queue import Place
from lorarack.server.caller import Caller
from lorarack.server.version_defaults import VersionDefaults


@dataclass(frozen=True, slots=True)
class Ask:
    """What a request asks for.

    Attributes:
        model: its model name: a reference, one of the base's names, or empty for the base.
        load: whether the model answers; otherwise only tokens are counted, which needs no adapter.
        tokens: that the model has to read, about.
        user: what identifies the caller's own user, where the request says.
    """

    model: str
    load: bool = True
    tokens: int = 0
    user: str | None = None


@dataclass(frozen=True, slots=True)
class Shadow:
    """The other arm that answers a request, for the record alone.

    Attributes:
        arm: its name.
        version: that it answers with.
        share: the later arm's, of the requests that either of the two gets.
    """

    arm: str
    version: Version
    share: float


@dataclass(frozen=True, slots=True)
class AssignedArm:
    """Which arm of a live experiment answers whom.

    Attributes:
        experiment: its id.
        name: of the arm.
        user: a hash of what the arm was assigned by.
        shadow: the other arm that answers as well, or why none does; None: the experiment has no shadows.
    """

    experiment: int
    name: str
    user: str
    shadow: Shadow | SkipReason | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """What answers a request.

    Attributes:
        version: the exact reference, or the base's name.
        engine_name: the model name that the engine gets.
        digest: of the version's files, or the base's fingerprint.
        adapter: the version; None for the base.
        arm: of a live experiment; None outside one, and where another version answers than that of the arm.
        place: in the engine; None where nothing is counted.
        defaults: what the version brings along for requests; None: nothing.
    """

    version: str
    engine_name: str
    digest: str
    adapter: Version | None = None
    arm: AssignedArm | None = None
    place: Place | None = None
    defaults: VersionDefaults | None = None


class Policy(Protocol):
    """One step of routing: takes the route so far, holds what it needs while the request is answered, and gives the next route."""

    def __call__(self, ask: Ask, caller: Caller, route: Route) -> AbstractAsyncContextManager[Route]:
        """See the class."""


class Router:
    """Applies policies in order, beginning with the route to the base."""

    def __init__(self, base: Route, policies: Sequence[Policy]) -> None:
        self._base = base
        self._policies = tuple(policies)

    @asynccontextmanager
    async def route(self, ask: Ask, caller: Caller) -> AsyncIterator[Route]:
        """The route of one request. What it names stays loaded inside the block.

        Raises:
            NotAllowed: the caller's key is not for models, or not for this one.
            BadReference: the model name is no reference.
            NotFound: there is no such version.
            Conflict: it is archived or quarantined.
            NotServeable: this server cannot serve it whole.
            RateLimited: a limit of its adapter or its key is reached.
            EngineError: the engine would not take it.
            Damaged: its stored files are not what was published.
            StoreError: the registry cannot be read.
        """
        if not caller.has(Scope.INFERENCE):
            raise NotAllowed(
                f"The key {caller.name!r} is not for models; use one with the scope {Scope.INFERENCE.value!r}."
            )
        async with AsyncExitStack() as held:
            route = self._base
            for policy in self._policies:
                route = await held.enter_async_context(policy(ask, caller, route))
            yield route
