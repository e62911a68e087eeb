"""A registry's state in memory at one moment, for resolving on every request."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lorarack.registry.access import Key
from lorarack.registry.resolve import resolve
from lorarack.registry.values import Base, Version
from lorarack.registry.view import AdapterView

if TYPE_CHECKING:
    from lorarack.registry.experiment.values import Experiment


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Bases, adapters, keys and running experiments as of change number ``changes``.

    Versions come without their metrics and provenance, which requests do not need.
    """

    changes: int
    bases: Mapping[str, Base]
    adapters: Mapping[str, AdapterView]
    #: The last event whole. A catalog that has another one under that number has another history: it was brought back from
    #: a copy, or made anew.
    history: str = ""
    #: Of clients, by their prefixes; also those that are revoked.
    keys: Mapping[str, Key] = field(default_factory=dict)
    #: The running experiments by adapter and alias.
    experiments: Mapping[tuple[str, str], "Experiment"] = field(default_factory=dict)

    @property
    def versions(self) -> tuple[Version, ...]:
        """All versions of all adapters, in every state. Takes time: for 100,000 versions some tens of milliseconds."""
        return tuple(version for view in self.adapters.values() for version in view.versions)

    def resolve(self, reference: str) -> Version:
        """Like ``Registry.resolve``, without any I/O."""
        return resolve(reference, self.adapters, self.adapters)

    def find(self, adapter: str, number: int) -> Version | None:
        """That very version in whatever state, if it is there."""
        view = self.adapters.get(adapter)
        return view.numbered(number) if view else None
