"""Which arm of a live experiment answers a request for its alias."""

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from hashlib import blake2b

from lorarack.registry import Snapshot, Version
from lorarack.registry.artifact.manifest import CHAT_TEMPLATE, DEFAULTS
from lorarack.registry.errors import EngineError, StoreError
from lorarack.registry.experiment.shadow import SkipReason
from lorarack.registry.experiment.values import Arm, Experiment
from lorarack.registry.reference import ByAlias, parse_reference
from lorarack.server.caller import ANONYMOUS, Caller
from lorarack.server.limits import Limits, incompatibility
from lorarack.server.router import Ask, AssignedArm, Route, Shadow

_HASH_BYTES = 16


class AssignArm:
    """A policy: splits the requests for an alias between the arms of the experiment that runs on it.

    The same user gets the same arm: the one that the request names, else the owner of its key. Requests without either are assigned
    one by one. Where this server cannot serve an arm's version, the reference answers and the request counts for no arm.
    """

    def __init__(
        self, snapshot: Callable[[], Snapshot], limits: Limits, add_failure: Callable[[AssignedArm, Caller], None]
    ) -> None:
        """``add_failure`` is told of requests that failed because the arm's version could not be loaded."""
        self._snapshot = snapshot
        self._limits = limits
        self._add_failure = add_failure

    @asynccontextmanager
    async def __call__(self, ask: Ask, caller: Caller, route: Route) -> AsyncIterator[Route]:
        """The route to the arm's version; the same route outside an experiment."""
        assigned = self._assigned(ask, caller, route)
        try:
            yield assigned
        except (EngineError, StoreError):
            if assigned.arm is not None:
                self._add_failure(assigned.arm, caller)
            raise

    def _assigned(self, ask: Ask, caller: Caller, route: Route) -> Route:
        snapshot = self._snapshot()
        if not snapshot.experiments or route.adapter is None:
            return route
        reference = parse_reference(ask.model)
        if not isinstance(reference.selector, ByAlias):
            return route
        experiment = snapshot.experiments.get((reference.name, reference.selector.alias))
        if experiment is None:
            return route
        user = ask.user or (caller.name if caller != ANONYMOUS else secrets.token_hex(_HASH_BYTES))
        arm = experiment.assign(user)
        version = snapshot.find(experiment.adapter, arm.version)
        if version is None or incompatibility(version, self._limits) is not None:
            return route
        if not ask.load:  # counted as it would be answered, by the arm's prompt; the user has seen nothing of the arm
            return replace(route, version=version.reference, digest=version.digest, adapter=version)
        shadow = self._shadow(experiment, arm, version, snapshot) if experiment.plan.shadow else None
        return _to(route, version, AssignedArm(experiment.id, arm.name, _hashed(experiment, user), shadow))

    def _shadow(self, experiment: Experiment, arm: Arm, version: Version, snapshot: Snapshot) -> Shadow | SkipReason:
        """One of the other arms, each with the same probability, if it can be served here and be asked the same."""
        others = [each for each in experiment.open_arms if each.name != arm.name]
        if not others:
            return SkipReason.NO_OTHER_ARM
        other = others[0] if len(others) == 1 else secrets.choice(others)
        found = snapshot.find(experiment.adapter, other.version)
        if found is None or incompatibility(found, self._limits) is not None:
            return SkipReason.NO_OTHER_ARM
        if any(found.file_digest(name) != version.file_digest(name) for name in (CHAT_TEMPLATE, DEFAULTS)):
            return SkipReason.OTHER_PROMPT
        return Shadow(other.name, found, experiment.pair_share(arm.name, other.name))


def _to(route: Route, version: Version, arm: AssignedArm) -> Route:
    name = version.reference
    return replace(route, version=name, engine_name=name, digest=version.digest, adapter=version, arm=arm)


def _hashed(experiment: Experiment, user: str) -> str:
    text = f"{experiment.plan.salt}:{user}".encode("utf-8", "surrogatepass")
    return blake2b(text, digest_size=_HASH_BYTES).hexdigest()
