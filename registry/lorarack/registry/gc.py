"""Garbage collection removes what is no longer needed, with a reason for each item; retention rules keep versions."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import TypeVar

from lorarack.registry.errors import UsageError
from lorarack.registry.evaluations import folder_bytes, kept_digests, remove_evaluations
from lorarack.registry.experiment.values import FEEDBACK_DAYS
from lorarack.registry.interface import BlobStore, Catalog
from lorarack.registry.queries import GcItem, GcReport, Retention, file_item
from lorarack.registry.texts import check_adapter_name
from lorarack.registry.versions import check_known, unknown_adapter

#: How many things are removed under one taking of the catalog's lock: publishers wait for milliseconds, not for the whole.
_AT_ONCE = 64
T = TypeVar("T")


def gc(catalog: Catalog, blobs: BlobStore, actor: str, location: str, *, dry_run: bool, grace: float) -> GcReport:
    """See ``Registry.gc``.

    Files younger than ``grace`` are kept, and an older one is removed only while no publisher can look whether its files are there;
    a publisher that finds one gone stores it again.

    Raises:
        UsageError: a negative or endless grace.
    """
    if not 0 <= grace < 1e9:
        raise UsageError(f"A grace of {grace} seconds is out of range; give 0 or more.", code="bad_grace")
    versions = catalog.gc_plan()
    if not dry_run:
        versions = _prune(catalog, actor, versions)
    known = catalog.references(without={_key(item) for item in versions if item.removed})
    files = [
        file_item("blob", blob.digest, blob.age, blob.bytes, grace)
        for blob in blobs.list()
        if blob.digest not in known.digests
    ]
    if not dry_run:
        files = _remove(catalog, blobs, files, known.newest, grace)
    leftovers = blobs.sweep(grace, dry_run=dry_run)
    evaluations = _evaluations(catalog, location, {_key(item) for item in versions if item.removed}, dry_run=dry_run)
    items = (*versions, *files, *leftovers, *evaluations, *_old_answers(catalog, dry_run=dry_run))
    report = GcReport(dry_run=dry_run, grace_seconds=grace, items=items)
    if not dry_run and any(item.removed for item in report.items):
        catalog.record_gc(actor, report)
    return report


def set_retention(catalog: Catalog, actor: str, adapter: str, keep_last: int | None, keep_days: int | None) -> None:
    """See ``Registry.set_retention``."""
    for number in (keep_last, keep_days):
        if number is not None and not 0 < number < 10**6:
            raise UsageError(f"{number} cannot be a retention rule; give 1 or more.", code="bad_retention")
    check_known(catalog, adapter)
    catalog.set_retention(actor, adapter, keep_last, keep_days)


def retention(catalog: Catalog, adapter: str) -> Retention:
    """See ``Registry.retention``."""
    rule = catalog.retention(check_adapter_name(adapter))
    if rule is None:
        raise unknown_adapter(catalog, adapter)
    return rule


def _prune(catalog: Catalog, actor: str, items: Sequence[GcItem]) -> tuple[GcItem, ...]:
    gone: set[tuple[str, int]] = set()
    for some in _batches(_key(item) for item in items if item.removed):
        gone.update(catalog.prune(actor, some))
    return tuple(item if not item.removed or _key(item) in gone else _kept(item) for item in items)


def _remove(catalog: Catalog, blobs: BlobStore, items: Sequence[GcItem], newest: int, grace: float) -> list[GcItem]:
    gone: set[str] = set()

    def remove(some: Sequence[GcItem]) -> None:
        wanted = catalog.references(newer_than=newest).digests
        for item in some:  # it may have been put again meanwhile
            if item.name not in wanted and blobs.delete(item.name, min_age=grace):
                gone.add(item.name)

    for some in _batches(item for item in items if item.removed):
        catalog.exclusively(partial(remove, some))
    return [item if not item.removed or item.name in gone else _kept(item) for item in items]


def _evaluations(
    catalog: Catalog, location: str, without: Collection[tuple[str, int]], *, dry_run: bool
) -> Iterator[GcItem]:
    """Evaluations of digests that no version has, ``without`` some."""
    kept = kept_digests(location)  # before the versions are read: one that is evaluated is there by then
    known = {each.digest for each in catalog.snapshot().versions if (each.adapter, each.number) not in without}
    for digest in sorted(kept.keys() - known):
        size = folder_bytes(kept[digest])
        if not dry_run:
            remove_evaluations(kept[digest])
        yield GcItem(kind="evaluation", name=digest, removed=True, reason="no version has this digest", bytes=size)


def _old_answers(catalog: Catalog, *, dry_run: bool) -> Iterator[GcItem]:
    """Answers of experiments that ended before feedback on them could still come; what was counted of them stays."""
    for experiment, count in catalog.experiments.old_answers():
        if not dry_run:
            count = catalog.experiments.remove_answers(experiment.id)
        name = f"{experiment.adapter}@{experiment.alias} #{experiment.id}"
        reason = (
            f"it ended more than {FEEDBACK_DAYS} days ago; {count:,} answers go, and what was counted of them stays"
        )
        yield GcItem(kind="experiment", name=name, removed=True, reason=reason)


def _kept(item: GcItem) -> GcItem:
    return item.model_copy(update={"removed": False, "reason": "it came into use, or went, meanwhile"})


def _key(item: GcItem) -> tuple[str, int]:
    adapter, _, number = item.name.partition("@")
    return adapter, int(number)


def _batches(things: Iterable[T]) -> Iterator[list[T]]:
    left = iter(things)
    while some := list(islice(left, _AT_ONCE)):
        yield some
