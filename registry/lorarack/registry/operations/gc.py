"""Garbage collection: what nothing needs any more goes, and whoever asks is told why each thing stays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from lorarack.registry.errors import UsageError
from lorarack.registry.operations.parts import Parts

if TYPE_CHECKING:
    from lorarack.registry.gc import GcItem, GcReport

#: An hour: publishers put their files first and their version last, and are between the two for less than that.
GRACE_SECONDS = 3600.0

#: How many things are removed under one taking of the catalog's lock: publishers wait for milliseconds, not for the whole.
_AT_ONCE = 64
T = TypeVar("T")


class CollectingOperations(Parts):
    """Removes what nothing needs."""

    def gc(self, *, dry_run: bool = False, grace_seconds: float = GRACE_SECONDS) -> GcReport:
        """Remove archived versions that nothing holds, stored files that no version has, and half-written files.

        Safe beside publishers: files younger than ``grace_seconds`` stay, and an older one is removed only under the lock
        under which a publisher looks whether its files are there (it stores them again if not).

        Args:
            dry_run: change nothing; the answer is what it would be.
            grace_seconds: how old a file must be that no version has.

        Raises:
            UsageError: a negative or endless grace. StoreError: disk or database; what is gone by then is gone.
        """
        from lorarack.registry.gc import GcReport

        if not 0 <= grace_seconds < 1e9:
            raise UsageError(f"A grace of {grace_seconds} seconds makes no sense; give 0 or more.", code="bad_grace")
        versions = self._collector.plan()
        if not dry_run:
            versions = self._prune(versions)
        known = self._collector.references(without={_split(item) for item in versions if item.removed})
        files = self._unreferenced(known.digests, grace_seconds)
        if not dry_run:
            files = self._remove(files, known.newest, grace_seconds)
        files += self._blobs.sweep(grace_seconds, dry_run=dry_run)
        done = GcReport(dry_run=dry_run, grace_seconds=grace_seconds, items=(*versions, *files))
        if not dry_run and any(item.removed for item in done.items):
            self._changer.record_collection(
                done.removed("version"), done.removed("blob"), done.removed("leftover"), done.freed
            )
        return done

    def _prune(self, items: Sequence[GcItem]) -> tuple[GcItem, ...]:
        gone: set[tuple[str, int]] = set()
        for some in _batches(_split(item) for item in items if item.removed):
            gone.update(self._changer.prune(some))
        return tuple(item if not item.removed or _split(item) in gone else _kept(item) for item in items)

    def _unreferenced(self, digests: frozenset[str], grace: float) -> list[GcItem]:
        from lorarack.registry.gc import file_item

        return [
            file_item("blob", blob.digest, blob.age, blob.bytes, grace)
            for blob in self._blobs.list()
            if blob.digest not in digests
        ]

    def _remove(self, items: Sequence[GcItem], newest: int, grace: float) -> list[GcItem]:
        gone: set[str] = set()

        def remove(some: Sequence[GcItem]) -> None:
            wanted = self._collector.referenced_since(newest)
            for item in some:
                # It may have been put again meanwhile.
                if item.name not in wanted and self._blobs.delete(item.name, min_age=grace):
                    gone.add(item.name)

        for some in _batches(item for item in items if item.removed):
            self._changer.while_locked(partial(remove, some))
        return [item if not item.removed or item.name in gone else _kept(item) for item in items]


def _kept(item: GcItem) -> GcItem:
    return item.model_copy(update={"removed": False, "reason": "it came into use, or went, meanwhile"})


def _split(item: GcItem) -> tuple[str, int]:
    adapter, _, number = item.name.partition("@")
    return adapter, int(number)


def _batches(things: Iterable[T]) -> Iterator[list[T]]:
    left = iter(things)
    while some := list(islice(left, _AT_ONCE)):
        yield some
