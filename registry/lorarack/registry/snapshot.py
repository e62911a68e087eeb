"""Everything of a registry in memory at one moment, for those who resolve on every request."""

from collections.abc import Mapping
from dataclasses import dataclass

from lorarack.registry.resolution import AdapterView, resolve
from lorarack.registry.values import Base, Version


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Bases and adapters as of change number ``changes``. Versions come without their metrics, which requests do not need."""

    changes: int
    bases: Mapping[str, Base]
    adapters: Mapping[str, AdapterView]

    @property
    def versions(self) -> tuple[Version, ...]:
        """All versions of all adapters, in every state."""
        return tuple(version for view in self.adapters.values() for version in view.versions)

    def resolve(self, reference: str) -> Version:
        """Like ``Registry.resolve``, without any I/O."""
        return resolve(reference, self.adapters, self.adapters)
