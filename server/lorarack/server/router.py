"""One server at work: the directory that knows what references mean, and the residency that has versions loaded."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from lorarack.registry import AdapterView, Version
from lorarack.server.limits import Limits, why_not
from lorarack.server.reference_resolver import ReferenceResolver
from lorarack.server.residency import Residency, key_of

#: How long the registry may go unread before balancers are told that aliases may be out of date here.
STALE_SECONDS = 15.0


def _alive() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Serving:
    """What requests need; one per API process."""

    #: Names by which requests may ask for the bare base model.
    base_names: frozenset[str]
    directory: ReferenceResolver
    residency: Residency
    engine_is_dead: Callable[[], bool] = field(default=_alive)

    @property
    def limits(self) -> Limits:
        """What this server can serve."""
        return self.residency.limits

    @property
    def draining(self) -> bool:
        """Whether the server was told to stop."""
        return self.residency.in_flight.draining

    def why_not_ready(self) -> str | None:
        """Why new requests should go to another server; None when they need not."""
        if self.draining:
            return "the server is stopping"
        if self.engine_is_dead():
            return "the engine is dead"
        if (age := self.directory.age) > STALE_SECONDS:
            return f"the registry could not be read for {age:.0f} s: aliases may be out of date"
        return None

    @asynccontextmanager
    async def answering(self, name: str, *, load: bool = True) -> AsyncIterator[tuple[str, str, str]]:
        """Resolve ``name`` and keep what it names loaded while the block runs.

        Gives the name that vLLM knows it by, and the exact version and digest that answer. ``name`` may be one of the
        base's, or empty for the base. Without ``load`` it is only checked that this server could serve it.

        Raises:
            BadReference: it is no reference.
            NotFound: there is no such version.
            Conflict: it is archived or quarantined.
            NotServeable: this server cannot serve it whole.
            EngineError: the engine would not take it.
            StoreError: it could not be read.
        """
        if not name or name in self.base_names:
            with self.residency.in_flight.of(None):
                yield name or self.limits.base, self.limits.base, self.limits.fingerprint
            return
        version = await self.directory.resolve(name)
        if not load:
            self.residency.check(version)
            with self.residency.in_flight.of(None):
                yield version.reference, version.reference, version.digest
            return
        with self.residency.in_flight.of(key_of(version)):
            yield await self.residency.ensure(version), version.reference, version.digest

    def offered(self) -> list[tuple[str, Version]]:
        """Every alias and every version that this server can serve now, with the version behind it, by adapter."""
        found: list[tuple[str, Version]] = []
        for _, view in sorted(self.directory.snapshot.adapters.items()):
            found.extend(self._offered_by(view))
        return found

    def _offered_by(self, view: AdapterView) -> list[tuple[str, Version]]:
        versions = {version.number: version for version in view.versions if why_not(version, self.limits) is None}
        aliases = [
            (view.name if alias == "default" else f"{view.name}@{alias}", versions[number])
            for alias, number in sorted(view.aliases.items())
            if number in versions
        ]
        return [*aliases, *((version.reference, version) for version in versions.values())]
