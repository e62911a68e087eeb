"""A registry on this machine: a catalog and a blob store put together. What each call promises is in ``interface``."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from lorarack.registry import aliases, versions
from lorarack.registry.interface import BlobStore, Catalog, Registry
from lorarack.registry.keys import RegistryKeys
from lorarack.registry.settings import local_actor
from lorarack.registry.texts import MAX_NAME, check_text
from lorarack.registry.values import (
    Adapter,
    Alias,
    Base,
    CheckedBase,
    Event,
    Metric,
    Parent,
    Provenance,
    Published,
    Version,
)

if TYPE_CHECKING:
    from lorarack.registry import queries
    from lorarack.registry.base_model.content import Progress
    from lorarack.registry.interface.experiments import Experiments
    from lorarack.registry.parity import ServingRecord
    from lorarack.registry.serving_defaults import ServingDefaults
    from lorarack.registry.snapshot import Snapshot


class LocalRegistry(Registry):
    """Implements ``Registry``. Each operation's module is imported when it is first called: a command needs few of them.

    ``location`` opens this registry again; ``actor`` is who works here, by default ``user@host`` of this process.
    """

    def __init__(self, catalog: Catalog, blobs: BlobStore, location: str, actor: str | None = None) -> None:
        self._catalog, self._blobs, self._location, self._actor = catalog, blobs, location, actor

    @property
    def location(self) -> str:
        return self._location

    @cached_property
    def actor(self) -> str:
        actor = self._actor or local_actor()
        check_text(actor, "actor", MAX_NAME)
        return actor

    @cached_property
    def keys(self) -> RegistryKeys:
        return RegistryKeys(self._catalog.keys, self.actor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._catalog.close()

    def add_base(
        self,
        source: str,
        name: str | None = None,
        *,
        use: bool = False,
        progress: "Progress | None" = None,
        say: Callable[[str], None] = lambda line: None,
    ) -> Base:
        from lorarack.registry import bases

        return bases.add_base(self._catalog, self.actor, source, name, progress, say, use=use)

    def bases(self) -> tuple[Base, ...]:
        return self._catalog.bases()

    def base(self, ident: str) -> Base:
        from lorarack.registry import bases

        return bases.get_base(self._catalog, ident)

    def check_base(self, ident: str, *, full: bool = False, progress: "Progress | None" = None) -> CheckedBase:
        from lorarack.registry import base_check

        return base_check.check_base(self._catalog, self.actor, self.base(ident), progress, full=full)

    def link_base(self, name: str, original: str, relation: str) -> Base:
        from lorarack.registry import bases

        return bases.link_base(self._catalog, self.actor, name, original, relation)

    def originals(self, base: Base) -> tuple[Base, ...]:
        from lorarack.registry import bases

        return bases.originals(base, self._catalog.bases())

    # Versions

    def publish(
        self,
        folder: Path,
        adapter: str,
        *,
        base: str,
        metrics: Sequence[Metric] = (),
        tags: Mapping[str, str] | None = None,
        description: str | None = None,
        provenance: Provenance | None = None,
        parents: Sequence[Parent] = (),
        defaults: "ServingDefaults | None" = None,
    ) -> Published:
        from lorarack.registry import publish

        about = publish.VersionMetadata(metrics, tags, description, provenance, tuple(parents), defaults)
        return publish.publish(self._catalog, self._blobs, self.actor, folder, adapter, base, about)

    def check_adapter(self, adapter: str, base: str) -> Base:
        from lorarack.registry import bases

        return bases.check_adapter(self._catalog, adapter, base)

    def resolve(self, reference: str, *, with_curves: bool = False) -> Version:
        return versions.resolve(self._catalog, reference, with_curves=with_curves)

    def get_version(self, reference: str, *, with_curves: bool = False) -> Version:
        return versions.get_version(self._catalog, reference, with_curves=with_curves)

    def versions(self, adapter: str, *, with_curves: bool = False) -> tuple[Version, ...]:
        return versions.get_adapter(self._catalog, adapter, with_curves=with_curves).versions

    def adapters(self) -> tuple[Adapter, ...]:
        return self._catalog.adapters()

    def add_metrics(self, reference: str, metrics: Sequence[Metric]) -> Version:
        return versions.add_metrics(self._catalog, self.actor, reference, metrics)

    def describe(
        self,
        reference: str,
        *,
        tags: Mapping[str, str] | None = None,
        without: Sequence[str] = (),
        description: str | None = None,
    ) -> Version:
        return versions.describe(self._catalog, self.actor, reference, tags, without, description)

    def fetch(self, version: Version | str, folder: Path) -> Path:
        from lorarack.registry import fetch

        return fetch.fetch(self._catalog, self._blobs, self.actor, version, folder)

    def chat_template(self, version: Version) -> str | None:
        from lorarack.registry import fetch

        return fetch.chat_template(self._catalog, self._blobs, self.actor, version)

    def serving_defaults(self, version: Version) -> "ServingDefaults":
        from lorarack.registry import fetch

        return fetch.serving_defaults(self._catalog, self._blobs, self.actor, version)

    def serving_record(self, version: Version) -> "ServingRecord | None":
        return versions.serving_record(self._catalog, version)

    def keep_serving_record(self, version: Version, record: "ServingRecord") -> None:
        self._catalog.keep_serving_record(self.actor, version.adapter, version.number, record.to_json())

    def verify(self, reference: str) -> Version:
        from lorarack.registry import lifecycle

        return lifecycle.verify(self._catalog, self._blobs, self.actor, self.get_version(reference))

    def diff(self, a: str, b: str) -> "queries.Diff":
        from lorarack.registry import diff

        return diff.diff(self._catalog, self._blobs, self.actor, a, b)

    def lineage(self, reference: str) -> "queries.Lineage":
        return versions.lineage(self._catalog, reference)

    def search(self, query: "queries.Query") -> "queries.Page":
        from lorarack.registry import search

        return search.search(self._catalog, query)

    def best(self, adapter: str, metric: str, *, dataset: str | None = None) -> "queries.Best":
        from lorarack.registry import search

        return search.best(self._catalog, adapter, metric, dataset)

    # Aliases

    def set_alias(
        self, adapter: str, alias: str, version: int, *, expect: int | None = None, reason: str | None = None
    ) -> Alias:
        return aliases.set_alias(self._catalog, self.actor, adapter, alias, version, expect, reason)

    def promote(
        self,
        adapter: str,
        alias: str,
        version: int,
        *,
        rule: "queries.Rule | queries.Judgement | None" = None,
        force: bool = False,
        reason: str | None = None,
    ) -> Alias:
        from lorarack.registry import promotion

        return promotion.promote(self._catalog, self.actor, adapter, alias, version, rule, reason, force=force)

    def rollback(self, adapter: str, alias: str, *, reason: str | None = None) -> Alias:
        from lorarack.registry import promotion

        return promotion.rollback(self._catalog, self.actor, adapter, alias, reason)

    def aliases(self, adapter: str | None = None) -> tuple[Alias, ...]:
        return aliases.aliases(self._catalog, adapter)

    def alias_history(self, adapter: str, alias: str | None = None) -> tuple[Alias, ...]:
        return aliases.alias_history(self._catalog, adapter, alias)

    # States and removal

    def archive(self, reference: str, reason: str | None = None) -> Version:
        from lorarack.registry import lifecycle

        return lifecycle.archive(self._catalog, self.actor, reference, reason)

    def quarantine(self, reference: str, reason: str) -> Version:
        from lorarack.registry import lifecycle

        return lifecycle.quarantine(self._catalog, self.actor, reference, reason)

    def restore(self, reference: str, reason: str | None = None) -> Version:
        from lorarack.registry import lifecycle

        return lifecycle.restore(self._catalog, self._blobs, self.actor, reference, reason)

    def delete(self, reference: str) -> Version:
        from lorarack.registry import lifecycle

        return lifecycle.delete(self._catalog, self.actor, self._location, reference)

    def lease(self, versions: Version | Sequence[Version], holder: str, seconds: float = 60.0) -> None:
        from lorarack.registry import lifecycle

        lifecycle.lease(self._catalog, versions, holder, seconds)

    def release(self, holder: str, version: Version | None = None) -> None:
        check_text(holder, "holder", MAX_NAME)
        self._catalog.release(holder, (version.adapter, version.number) if version else None)

    def set_retention(self, adapter: str, *, keep_last: int | None = None, keep_days: int | None = None) -> None:
        from lorarack.registry import gc

        gc.set_retention(self._catalog, self.actor, adapter, keep_last, keep_days)

    def retention(self, adapter: str) -> "queries.Retention":
        from lorarack.registry import gc

        return gc.retention(self._catalog, adapter)

    def gc(self, *, dry_run: bool = False, grace_seconds: float = 3600.0) -> "queries.GcReport":
        from lorarack.registry import gc

        return gc.gc(self._catalog, self._blobs, self.actor, self._location, dry_run=dry_run, grace=grace_seconds)

    @property
    def experiments(self) -> "Experiments":
        from lorarack.registry.experiments import CatalogExperiments

        return CatalogExperiments(self._catalog, self.actor)

    # Following and moving

    def last_event_id(self) -> int:
        return self._catalog.last_event_id()

    def events(self, after: int = 0, limit: int = 1000, adapter: str | None = None) -> tuple[Event, ...]:
        return versions.events(self._catalog, after, limit, adapter)

    def snapshot(self, since: "Snapshot | None" = None) -> "Snapshot":
        return self._catalog.snapshot(since)

    def export_to(self, folder: Path, *what: str) -> "queries.Exported":
        from lorarack.registry.transfer import export

        return export.export_to(self._catalog, self._blobs, self.actor, folder, what)

    def import_from(self, folder: Path) -> "queries.Imported":
        from lorarack.registry.transfer import import_

        return import_.import_from(self._catalog, self._blobs, self.actor, folder)
