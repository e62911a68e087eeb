"""A catalog in a database, by SQLAlchemy. The contracts of its methods are in ``interface``."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lorarack.registry.catalog import (
    base_models,
    events,
    gc,
    imports,
    lifecycle,
    lineage,
    new_version,
    retention,
    search,
    snapshots,
    versions,
)
from lorarack.registry.catalog.connection import Database
from lorarack.registry.catalog.keys import SqlKeys
from lorarack.registry.interface import Catalog

if TYPE_CHECKING:
    from lorarack.registry.base_model.fingerprint import Reading
    from lorarack.registry.interface.experiments import ExperimentCatalog
    from lorarack.registry.queries import Best, GcItem, GcReport, Link, Page, Query, Retention
    from lorarack.registry.records import AddedBase, ArtifactKey, ImportResult, ImportRow, NewVersion, References
    from lorarack.registry.reference import Reference
    from lorarack.registry.snapshot import Snapshot
    from lorarack.registry.values import Adapter, Alias, Base, BaseId, Event, Metric, State, StoredFile, Version
    from lorarack.registry.view import AdapterView


class SqlCatalog(Catalog):
    """Implements ``Catalog``: each call is one transaction, around a function of its connection."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._read, self._write = database.read, database.write
        self._shapes: base_models.Shapes = {}

    @property
    def keys(self) -> SqlKeys:
        return SqlKeys(self._database)

    def close(self) -> None:
        self._database.close()

    # Reading

    def last_event_id(self) -> int:
        return self._read(events.last_event_id)

    def bases(self) -> "tuple[Base, ...]":
        return self._read(base_models.read_bases, self._shapes)

    def adapter_names(self) -> tuple[str, ...]:
        return self._read(versions.adapter_names)

    def has_adapter(self, name: str) -> bool:
        return self._read(versions.has_adapter, name)

    def adapters(self) -> "tuple[Adapter, ...]":
        return self._read(versions.read_adapters)

    def adapter(self, name: str, *, with_curves: bool = False) -> "AdapterView | None":
        return self._read(versions.read_views, name, with_curves=with_curves).get(name)

    def find_version(self, reference: "Reference", *, with_curves: bool = False) -> "Version | None":
        return self._read(versions.find_version, reference, with_curves=with_curves)

    def same_weights(
        self, adapter: str, files: "Iterable[StoredFile]"
    ) -> "Sequence[tuple[str, tuple[StoredFile, ...]]]":
        return self._read(versions.same_weights, adapter, files)

    def aliases(self, adapter: str | None = None) -> "tuple[Alias, ...]":
        return self._read(events.read_aliases, adapter)

    def alias_moves(self, adapter: str, alias: str | None = None) -> "tuple[Alias, ...]":
        return self._read(events.read_alias_moves, adapter, alias)

    def events(self, after: int, limit: int, adapter: str | None = None) -> "tuple[Event, ...]":
        return self._read(events.read_events, after, limit, adapter)

    def serving_record(self, adapter: str, number: int) -> dict[str, Any] | None:
        return self._read(events.last_record, adapter, number)

    def keep_serving_record(self, actor: str, adapter: str, number: int, record: Mapping[str, Any]) -> None:
        self._write(events.keep_record, actor, adapter, number, dict(record))

    def snapshot(self, since: "Snapshot | None" = None) -> "Snapshot":
        return self._read(snapshots.take_snapshot, since)

    def lineage(self, version: "Version") -> "tuple[tuple[Link, ...], tuple[Link, ...]]":
        return self._read(lineage.read_lineage, version.engine_id)

    def search(self, query: "Query") -> "Page":
        return self._read(search.search, query)

    def best(self, adapter: str, label: str, dataset: str | None = None) -> "Best | None":
        return self._read(search.best_version, adapter, label, dataset)

    def retention(self, adapter: str) -> "Retention | None":
        return self._read(retention.read_rule, adapter)

    # Writing

    def add_base(
        self, actor: str, reading: "Reading", name: str | None, default_name: str, place: "BaseId", *, use: bool
    ) -> "AddedBase":
        return self._write(base_models.add_base, actor, reading, name, default_name, place, use=use)

    def renew_base(self, actor: str, name: str, reading: "Reading", places: "Sequence[BaseId]") -> None:
        self._write(base_models.renew_base, actor, name, reading, places)

    def link_base(self, actor: str, name: str, original: str, relation: str) -> None:
        self._write(base_models.link_base, actor, name, original, relation)

    def check_adapter(self, name: str, base: str) -> None:
        self._read(new_version.adapter_for, name, base)

    def add_version(self, actor: str, new: "NewVersion", is_stored: Callable[[str], bool]) -> "tuple[Version, bool]":
        return self._write(new_version.add_version, actor, new, is_stored)

    def import_versions(
        self,
        actor: str,
        rows: "Sequence[ImportRow]",
        aliases: "Mapping[str, Mapping[str, ArtifactKey]]",
        is_stored: Callable[[str], bool],
    ) -> "tuple[Sequence[ImportResult], Sequence[str]]":
        return self._write(imports.import_versions, actor, rows, aliases, is_stored)

    def add_metrics(self, actor: str, adapter: str, number: int, metrics: "Sequence[Metric]") -> None:
        self._write(lifecycle.measure, actor, adapter, number, metrics)

    def describe(
        self,
        actor: str,
        adapter: str,
        number: int,
        tags: Mapping[str, str],
        without: Sequence[str],
        description: str | None,
    ) -> None:
        self._write(lifecycle.describe, actor, adapter, number, tags, without, description)

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
        moved = (actor, adapter, alias, number, expect, reason)
        return self._write(events.set_alias, *moved, forced=forced, rollback=rollback)

    def set_state(self, actor: str, adapter: str, number: int, state: "State", reason: str | None) -> None:
        self._write(lifecycle.set_state, actor, adapter, number, state, reason)

    def mark_damaged(self, actor: str, adapter: str, number: int, digest: str, reason: str) -> bool:
        return self._write(lifecycle.mark_damaged, actor, adapter, number, digest, reason)

    def repair(
        self,
        actor: str,
        adapter: str,
        number: int,
        files: "Sequence[StoredFile]",
        is_stored: Callable[[str], bool],
    ) -> None:
        self._write(lifecycle.repair, actor, adapter, number, files, is_stored)

    def delete_version(self, actor: str, adapter: str, number: int) -> None:
        self._write(lifecycle.delete_version, actor, adapter, number)

    def lease(self, versions: Sequence[tuple[str, int]], holder: str, seconds: float) -> None:
        self._write(retention.lease, versions, holder, seconds)

    def release(self, holder: str, version: tuple[str, int] | None = None) -> None:
        self._write(retention.release, holder, version)

    def set_retention(self, actor: str, adapter: str, keep_last: int | None, keep_days: int | None) -> None:
        self._write(retention.set_rule, actor, adapter, keep_last, keep_days)

    @property
    def experiments(self) -> "ExperimentCatalog":
        from lorarack.registry.catalog.experiments import SqlExperiments

        return SqlExperiments(self._database)

    # Garbage collection

    def gc_plan(self) -> "tuple[GcItem, ...]":
        return self._read(gc.plan)

    def prune(self, actor: str, versions: Sequence[tuple[str, int]]) -> Sequence[tuple[str, int]]:
        return self._write(lifecycle.prune, actor, versions)

    def references(self, *, newer_than: int = 0, without: Collection[tuple[str, int]] = ()) -> "References":
        return self._read(gc.read_references, newer_than, without)

    def exclusively(self, work: Callable[[], None]) -> None:
        self._database.alone(work)

    def record_gc(self, actor: str, report: "GcReport") -> None:
        self._write(gc.record_gc, actor, report)
