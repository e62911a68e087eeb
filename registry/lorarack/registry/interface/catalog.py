"""What a registry needs of the database of its versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

# The calls are to be read as a table; the formatter would give each name a line.
# fmt: off
# isort: off

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from lorarack.registry.base_model.fingerprint import Reading
    from lorarack.registry.interface.experiments import ExperimentCatalog
    from lorarack.registry.interface.keys import KeyTable
    from lorarack.registry.queries import Best, GcItem, GcReport, Link, Page, Query, Retention
    from lorarack.registry.records import AddedBase, ArtifactKey, ImportResult, ImportRow, NewVersion, References
    from lorarack.registry.reference import Reference
    from lorarack.registry.snapshot import Snapshot
    from lorarack.registry.values import Adapter, Alias, Base, BaseId, Event, Metric, State, StoredFile, Version
    from lorarack.registry.view import AdapterView


class Catalog(Protocol):
    """What is known of bases, adapters and versions. The caller has checked names and texts; ``actor`` goes into the events."""

    @property
    def keys(self) -> KeyTable: """The keys of a server's clients."""
    @property
    def experiments(self) -> ExperimentCatalog: """Live experiments on aliases."""

    def close(self) -> None: """Free connections; a later call opens them again."""

    # Reading. What does not exist gives None or an empty answer.

    def last_event_id(self) -> int: """As ``Registry.last_event_id``."""
    def bases(self) -> tuple[Base, ...]: """All base models, by name."""
    def adapter_names(self) -> tuple[str, ...]: """Sorted."""
    def has_adapter(self, name: str) -> bool: """Whether it exists; cheap."""
    def adapters(self) -> tuple[Adapter, ...]: """All adapters, by name, without their versions."""
    def adapter(self, name: str, *, with_curves: bool = False) -> AdapterView | None: """One adapter with all its versions."""
    def find_version(self, reference: Reference, *, with_curves: bool = False) -> Version | None:
        """The version that a reference names, in any state (``@latest`` and ``@r8``: ready ones); None also if it names several."""
    def same_weights(self, adapter: str, files: Iterable[StoredFile]) -> Sequence[tuple[str, tuple[StoredFile, ...]]]:
        """Digest and files of each version of ``adapter`` that has the weight file among ``files``."""
    def aliases(self, adapter: str | None = None) -> tuple[Alias, ...]: """Where they point now, by adapter and name."""
    def alias_moves(self, adapter: str, alias: str | None = None) -> tuple[Alias, ...]: """Every move, oldest first."""
    def events(self, after: int, limit: int, adapter: str | None = None) -> tuple[Event, ...]: """As ``Registry.events``."""
    def serving_record(self, adapter: str, number: int) -> dict[str, Any] | None: """The newest, as JSON."""
    def snapshot(self, since: Snapshot | None = None) -> Snapshot: """As ``Registry.snapshot``."""
    def lineage(self, version: Version) -> tuple[tuple[Link, ...], tuple[Link, ...]]:
        """The links to all ancestors and to all descendants, each once, the nearest first."""
    def search(self, query: Query) -> Page: """As ``Registry.search``; ``query.base`` is a base's name."""
    def best(self, adapter: str, label: str, dataset: str | None = None) -> Best | None: """As ``Registry.best``."""
    def retention(self, adapter: str) -> Retention | None: """The adapter's rule."""

    # Writing. ``NotFound``: no such base, adapter or version.

    def add_base(self, actor: str, reading: Reading, name: str | None, default_name: str, place: BaseId, *, use: bool) -> AddedBase:
        """Add a base, or a place of one that shares a fingerprint. ``Conflict``: as ``Registry.add_base``."""
    def renew_base(self, actor: str, name: str, reading: Reading, places: Sequence[BaseId]) -> None:
        """Replace what an older lorarack saw of a base, and its places. ``Conflict``: another base has these fingerprints."""
    def link_base(self, actor: str, name: str, original: str, relation: str) -> None: """``UsageError``: it would be a cycle."""
    def check_adapter(self, name: str, base: str) -> None: """Writes nothing. ``Conflict``: ``add_version`` would refuse."""
    def add_version(self, actor: str, new: NewVersion, is_stored: Callable[[str], bool]) -> tuple[Version, bool]:
        """The version with its curves, and whether it is new; an equal digest gives the old one. ``Conflict``: as ``publish``.

        ``is_stored`` is asked for each file while no ``exclusively`` runs. ``BlobGone``: it says no.
        """
    def import_versions(self, actor: str, rows: Sequence[ImportRow], aliases: Mapping[str, Mapping[str, ArtifactKey]],
                        is_stored: Callable[[str], bool]) -> tuple[Sequence[ImportResult], Sequence[str]]:
        """Add all, or none, parents first. What became of each, and the aliases that name something else here and were left."""
    def add_metrics(self, actor: str, adapter: str, number: int, metrics: Sequence[Metric]) -> None: """As in ``Registry``."""
    def describe(self, actor: str, adapter: str, number: int, tags: Mapping[str, str], without: Sequence[str],
                 description: str | None) -> None: """As in ``Registry``."""
    def set_alias(self, actor: str, adapter: str, alias: str, number: int, *, expect: int | None = None, reason: str | None = None,
                  forced: bool = False, rollback: bool = False) -> Alias: """As in ``Registry``."""
    def set_state(self, actor: str, adapter: str, number: int, state: State, reason: str | None) -> None:
        """``Conflict``: an alias names what would be archived."""
    def mark_damaged(self, actor: str, adapter: str, number: int, digest: str, reason: str) -> bool:
        """Take a ready version of that digest out of use; whether it is marked as damaged now."""
    def repair(self, actor: str, adapter: str, number: int, files: Sequence[StoredFile], is_stored: Callable[[str], bool]) -> None:
        """Make a damaged version ready with these files. ``is_stored`` and ``BlobGone``: as in ``add_version``."""
    def delete_version(self, actor: str, adapter: str, number: int) -> None: """``Conflict``: something holds it."""
    def keep_serving_record(self, actor: str, adapter: str, number: int, record: Mapping[str, Any]) -> None:
        """Keep another."""
    def lease(self, versions: Sequence[tuple[str, int]], holder: str, seconds: float) -> None: """As in ``Registry``."""
    def release(self, holder: str, version: tuple[str, int] | None = None) -> None: """As in ``Registry``."""
    def set_retention(self, actor: str, adapter: str, keep_last: int | None, keep_days: int | None) -> None: """None: no rule."""

    # Garbage collection

    def gc_plan(self) -> tuple[GcItem, ...]: """What becomes of each version, children before their parents."""
    def prune(self, actor: str, versions: Sequence[tuple[str, int]]) -> Sequence[tuple[str, int]]:
        """Forget those that are archived and that nothing holds; which they were."""
    def references(self, *, newer_than: int = 0, without: Collection[tuple[str, int]] = ()) -> References:
        """The digests of the files of all versions with a larger engine id, except some."""
    def exclusively(self, work: Callable[[], None]) -> None:
        """Run ``work``, which writes nothing here, while no other process can write; all earlier writes have ended."""
    def record_gc(self, actor: str, report: GcReport) -> None: """Add the event that lists what was removed."""
