"""A catalog in a database that SQLAlchemy speaks to. What each call promises is in ``interface.py``."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from lorarack.registry.catalog.connection import Database
from lorarack.registry.catalog.reader import CatalogReader
from lorarack.registry.interface import Catalog

if TYPE_CHECKING:
    from lorarack.registry.base_model.fingerprint import Reading
    from lorarack.registry.catalog.gc import CatalogCollector
    from lorarack.registry.catalog.lifecycle import CatalogChanger
    from lorarack.registry.catalog.versions import CatalogWriter
    from lorarack.registry.queries import Best, GcItem, GcReport, Link, Page, Query, Retention
    from lorarack.registry.records import AddedBase, ArtifactKey, ImportResult, ImportRow, NewVersion, References
    from lorarack.registry.reference import Reference
    from lorarack.registry.snapshot import Snapshot
    from lorarack.registry.values import Adapter, Alias, Base, BaseId, Event, Metric, State, StoredFile, Version
    from lorarack.registry.view import AdapterView


class SqlCatalog(Catalog):
    """Implements ``Catalog``. What writes is imported when it is first used: a command that only reads needs none of it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._reader = CatalogReader(database)

    def close(self) -> None:
        self._database.close()

    # Reading

    def last_event_id(self) -> int:
        return self._reader.last_event_id()

    def bases(self) -> "tuple[Base, ...]":
        return self._reader.bases()

    def adapter_names(self) -> tuple[str, ...]:
        return self._reader.adapter_names()

    def has_adapter(self, name: str) -> bool:
        return self._reader.has_adapter(name)

    def adapters(self) -> "tuple[Adapter, ...]":
        return self._reader.adapters()

    def adapter(self, name: str, *, with_curves: bool = False) -> "AdapterView | None":
        return self._reader.adapter(name, with_curves=with_curves)

    def find_version(self, reference: "Reference", *, with_curves: bool = False) -> "Version | None":
        return self._reader.find_version(reference, with_curves=with_curves)

    def same_weights(
        self, adapter: str, files: "Iterable[StoredFile]"
    ) -> "Sequence[tuple[str, tuple[StoredFile, ...]]]":
        return self._reader.same_weights(adapter, files)

    def aliases(self, adapter: str | None = None) -> "tuple[Alias, ...]":
        return self._reader.aliases(adapter)

    def alias_moves(self, adapter: str, alias: str | None = None) -> "tuple[Alias, ...]":
        return self._reader.alias_moves(adapter, alias)

    def events(self, after: int, limit: int, adapter: str | None = None) -> "tuple[Event, ...]":
        return self._reader.events(after, limit, adapter)

    def snapshot(self, since: "Snapshot | None" = None) -> "Snapshot":
        from lorarack.registry.catalog.snapshots import take_snapshot

        return take_snapshot(self._database, since)

    def lineage(self, version: "Version") -> "tuple[tuple[Link, ...], tuple[Link, ...]]":
        from lorarack.registry.catalog.lineage import read_lineage

        return read_lineage(self._database, version.engine_id)

    def search(self, query: "Query") -> "Page":
        from lorarack.registry.catalog.search import search

        return search(self._database, query)

    def best(self, adapter: str, label: str, dataset: str | None = None) -> "Best | None":
        from lorarack.registry.catalog.best import best_version

        with self._database.reading() as connection:
            return best_version(connection, adapter, label, dataset)

    def retention(self, adapter: str) -> "Retention | None":
        return self._collector().retention(adapter)

    # Writing

    def add_base(
        self, actor: str, reading: "Reading", name: str | None, default_name: str, place: "BaseId", *, use: bool
    ) -> "AddedBase":
        return self._writer(actor).add_base(reading, name, default_name, place, use=use)

    def renew_base(self, actor: str, name: str, reading: "Reading", places: "Sequence[BaseId]") -> None:
        self._writer(actor).renew_base(name, reading, places)

    def link_base(self, actor: str, name: str, original: str, relation: str) -> None:
        self._writer(actor).link_base(name, original, relation)

    def check_adapter(self, name: str, base: str) -> None:
        self._writer("").check_adapter(name, base)

    def add_version(self, actor: str, new: "NewVersion", is_stored: Callable[[str], bool]) -> tuple[int, bool]:
        return self._writer(actor).add_version(new, is_stored)

    def import_versions(
        self,
        actor: str,
        rows: "Sequence[ImportRow]",
        aliases: "Mapping[str, Mapping[str, ArtifactKey]]",
        is_stored: Callable[[str], bool],
    ) -> "tuple[Sequence[ImportResult], Sequence[str]]":
        from lorarack.registry.catalog.imports import CatalogImporter

        return CatalogImporter(self._database, actor).add(rows, aliases, is_stored)

    def add_metrics(self, actor: str, adapter: str, number: int, metrics: "Sequence[Metric]") -> None:
        self._writer(actor).add_metrics(adapter, number, metrics)

    def describe(
        self,
        actor: str,
        adapter: str,
        number: int,
        tags: Mapping[str, str],
        without: Sequence[str],
        description: str | None,
    ) -> None:
        self._writer(actor).describe(adapter, number, tags, without, description)

    def set_alias(
        self,
        actor: str,
        adapter: str,
        alias: str,
        number: int,
        *,
        expect: int | None = None,
        reason: str | None = None,
        forced: bool = False,
        rollback: bool = False,
    ) -> "Alias":
        return self._changer(actor).set_alias(adapter, alias, number, expect, reason, forced=forced, rollback=rollback)

    def set_state(self, actor: str, adapter: str, number: int, state: "State", reason: str | None) -> None:
        self._changer(actor).set_state(adapter, number, state, reason)

    def mark_damaged(self, actor: str, adapter: str, number: int, digest: str, reason: str) -> bool:
        return self._changer(actor).mark_damaged(adapter, number, digest, reason)

    def repair(self, actor: str, adapter: str, number: int, files: "Sequence[StoredFile]") -> None:
        self._changer(actor).repair(adapter, number, files)

    def delete_version(self, actor: str, adapter: str, number: int) -> None:
        self._changer(actor).delete_version(adapter, number)

    def lease(self, versions: Sequence[tuple[str, int]], holder: str, seconds: float) -> None:
        self._changer("").lease(versions, holder, seconds)

    def release(self, holder: str, version: tuple[str, int] | None = None) -> None:
        self._changer("").release(holder, version)

    def set_retention(self, actor: str, adapter: str, keep_last: int | None, keep_days: int | None) -> None:
        self._changer(actor).set_retention(adapter, keep_last, keep_days)

    # Garbage collection

    def gc_plan(self) -> "tuple[GcItem, ...]":
        return self._collector().plan()

    def prune(self, actor: str, versions: Sequence[tuple[str, int]]) -> Sequence[tuple[str, int]]:
        return self._changer(actor).prune(versions)

    def references(self, *, newer_than: int = 0, without: Collection[tuple[str, int]] = ()) -> "References":
        return self._collector().references(newer_than, without)

    def exclusively(self, work: Callable[[], None]) -> None:
        self._database.alone(work)

    def record_gc(self, actor: str, report: "GcReport") -> None:
        self._changer(actor).record_gc(report)

    def _writer(self, actor: str) -> "CatalogWriter":
        from lorarack.registry.catalog.versions import CatalogWriter

        return CatalogWriter(self._database, actor)

    def _changer(self, actor: str) -> "CatalogChanger":
        from lorarack.registry.catalog.lifecycle import CatalogChanger

        return CatalogChanger(self._database, actor)

    def _collector(self) -> "CatalogCollector":
        from lorarack.registry.catalog.gc import CatalogCollector

        return CatalogCollector(self._database)
