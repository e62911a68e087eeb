"""What one API process has at hand: how requests are routed, what is loaded, what is open."""

from collections.abc import Callable
from dataclasses import dataclass

from lorarack.registry import AdapterView, Version
from lorarack.server.caller import Caller
from lorarack.server.exchange import Observer
from lorarack.server.experiment_recorder import ExperimentRecorder
from lorarack.server.limits import Limits, incompatibility
from lorarack.server.open_requests import OpenRequests
from lorarack.server.policies.admit import Admit
from lorarack.server.policies.assign_arm import AssignArm
from lorarack.server.policies.check_access import CheckAccess
from lorarack.server.policies.ensure_loaded import EnsureLoaded
from lorarack.server.policies.make_room import MakeRoom
from lorarack.server.policies.resolve_reference import ResolveReference
from lorarack.server.policies.take_defaults import TakeDefaults
from lorarack.server.reference_resolver import ReferenceResolver
from lorarack.server.request_log import REQUEST_LOG
from lorarack.server.residency import Residency
from lorarack.server.router import Policy, Route, Router
from lorarack.server.shadows import Shadows
from lorarack.server.version_defaults import DefaultsReader
from lorarack.server.warm_set import WarmSet

#: How long the registry may go unread before balancers are told that aliases may be out of date here.
STALE_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class AppState:
    """One per API process.

    Attributes:
        base_names: names by which requests may ask for the bare base model.
        resolver: what references mean.
        residency: what is loaded.
        router: from a request to what answers it.
        open_requests: requests that have not ended.
        experiments: keeps what live experiments observe; None: no alias is split between versions.
        engine_is_dead: asks the engine's client.
        warm_set: what is loaded before anybody asks.
        further_observers: who is told of requests beside the count of open ones and the log.
    """

    base_names: frozenset[str]
    resolver: ReferenceResolver
    residency: Residency
    router: Router
    open_requests: OpenRequests
    experiments: ExperimentRecorder | None
    engine_is_dead: Callable[[], bool]
    warm_set: WarmSet
    further_observers: tuple[Observer, ...] = ()

    @classmethod
    def build(
        cls,
        base_names: frozenset[str],
        resolver: ReferenceResolver,
        residency: Residency,
        engine_is_dead: Callable[[], bool] = lambda: False,
        admit: Admit | None = None,
        warm_set: WarmSet | None = None,
        further_observers: tuple[Observer, ...] = (),
        experiments: ExperimentRecorder | None = None,
        defaults: DefaultsReader | None = None,
        shadows: Shadows | None = None,
        open_requests: OpenRequests | None = None,
    ) -> "AppState":
        """With the policies in their order."""
        limits = residency.limits
        policies: list[Policy] = [CheckAccess(base_names), ResolveReference(base_names, resolver, limits)]
        further: list[Observer] = []
        if experiments is not None:
            policies.append(AssignArm(lambda: resolver.snapshot, limits, experiments.add_failure))
            further.append(experiments.observer)
        if defaults is not None:
            policies.append(TakeDefaults(defaults))
        if admit is not None:
            policies.append(admit)
            further.append(admit.observer)
        policies.append(EnsureLoaded(residency))
        if shadows is not None:
            policies.append(MakeRoom(shadows))
            further.append(Observer(end=lambda _: shadows.resume()))
        router = Router(Route(limits.base, limits.base, limits.fingerprint), policies)
        further.extend(further_observers)
        opened, warm = open_requests or OpenRequests(), warm_set or WarmSet(residency)
        return cls(base_names, resolver, residency, router, opened, experiments, engine_is_dead, warm, tuple(further))

    @property
    def limits(self) -> Limits:
        """What this server can serve."""
        return self.residency.limits

    @property
    def observers(self) -> tuple[Observer, ...]:
        """Who is told of requests. What counts comes first, so that it also hears the end."""
        return self.open_requests.observer, REQUEST_LOG, *self.further_observers

    def unready_reason(self) -> str | None:
        """Why new requests should go to another server; None when they need not."""
        if self.open_requests.draining:
            return "the server is stopping"
        if self.engine_is_dead():
            return "the engine is dead"
        if (age := self.resolver.age) > STALE_SECONDS:
            why = f" ({self.resolver.last_error.rstrip('.')})" if self.resolver.last_error else ""
            return f"the registry could not be followed for {age:.0f} s{why}: aliases may be out of date"
        if waiting := self.warm_set.waiting_for:
            return waiting
        return None

    def served_models(self, caller: Caller) -> list[tuple[str, Version]]:
        """Every alias and every version that this server can serve ``caller`` now, with the version behind it, by adapter."""
        found: list[tuple[str, Version]] = []
        for name, view in sorted(self.resolver.snapshot.adapters.items()):
            if caller.may_use(name):
                found.extend(self._of_adapter(view))
        return found

    def _of_adapter(self, view: AdapterView) -> list[tuple[str, Version]]:
        versions = {
            version.number: version for version in view.versions if incompatibility(version, self.limits) is None
        }
        aliases = [
            (view.name if alias == "default" else f"{view.name}@{alias}", versions[number])
            for alias, number in sorted(view.aliases.items())
            if number in versions
        ]
        return [*aliases, *((version.reference, version) for version in versions.values())]
