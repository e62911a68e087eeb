"""One server at work: the directory that knows what references mean, and the residency that has versions loaded."""

from dataclasses import dataclass

from lorarack.registry import AdapterView, Version
from lorarack.server.directory import Directory
from lorarack.server.residency import Residency
from lorarack.server.serveable import Limits, why_not


@dataclass(frozen=True, slots=True)
class Serving:
    """What requests need; one per API process."""

    #: Names by which requests may ask for the bare base model.
    base_names: frozenset[str]
    directory: Directory
    residency: Residency

    @property
    def limits(self) -> Limits:
        """What this server can serve."""
        return self.residency.limits

    async def ready_to_answer(self, reference: str) -> tuple[str, str]:
        """Resolve ``reference`` and have the engine know that version: its name there (``support@3``), and its digest.

        Raises:
            BadReference, NotFound, Conflict: there is no such version to be had.
            NotServeable: this server cannot serve it whole.
            EngineError, StoreError: it could not be loaded.
        """
        version = await self.directory.resolve(reference)
        return await self.residency.ensure(version), version.digest

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
