"""Garbage collection: what nothing needs any more goes, and whoever asks is told why each thing stays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Literal, TypeVar

from lorarack.registry.errors import UsageError
from lorarack.registry.operations.parts import Parts

if TYPE_CHECKING:
    from lorarack.registry.collection import Collection, Fate

#: An hour: publishers put their files first and their version last, and are between the two for less than that.
GRACE_SECONDS = 3600.0

#: How many things are removed under one taking of the catalog's lock: publishers wait for milliseconds, not for the whole.
_AT_ONCE = 64
T = TypeVar("T")


class CollectingOperations(Parts):
    """Removes what nothing needs."""

    def gc(self, *, dry_run: bool = False, grace_seconds: float = GRACE_SECONDS) -> Collection:
        """Remove archived versions that nothing holds, stored files that no version has, and half-written files.

        Safe beside publishers: files younger than ``grace_seconds`` stay, and an older one is removed only under the lock
        under which a publisher looks whether its files are there (it stores them again if not).

        Args:
            dry_run: change nothing; the answer is what it would be.
            grace_seconds: how old a file must be that no version has.

        Raises:
            UsageError: a negative or endless grace. StoreError: disk or database; what is gone by then is gone.
        """
        from lorarack.registry.collection import Collection

        if not 0 <= grace_seconds < 1e9:
            raise UsageError(f"A grace of {grace_seconds} seconds makes no sense; give 0 or more.", code="bad_grace")
        versions = self._collector.plan()
        if not dry_run:
            versions = self._prune(versions)
        known = self._collector.references(without={_split(fate) for fate in versions if fate.goes})
        files = [*self._unreferenced(known.digests, grace_seconds), *self._half_written(grace_seconds)]
        if not dry_run:
            files = self._remove(files, known.newest, grace_seconds)
        done = Collection(dry_run=dry_run, grace_seconds=grace_seconds, fates=(*versions, *files))
        if not dry_run and any(fate.goes for fate in done.fates):
            self._changer.record_collection(done.gone("version"), done.gone("blob"), done.gone("leftover"), done.freed)
        return done

    def _prune(self, fates: Sequence[Fate]) -> tuple[Fate, ...]:
        gone: set[tuple[str, int]] = set()
        for some in _batches(_split(fate) for fate in fates if fate.goes):
            gone.update(self._changer.prune(some))
        return tuple(fate if not fate.goes or _split(fate) in gone else _kept(fate) for fate in fates)

    def _unreferenced(self, digests: frozenset[str], grace: float) -> list[Fate]:
        return [
            _file("blob", blob.digest, blob.age, blob.bytes, grace)
            for blob in self._blobs.list()
            if blob.digest not in digests
        ]

    def _half_written(self, grace: float) -> list[Fate]:
        return [_file("leftover", name, age, size, grace) for name, age, size in self._blobs.leftovers()]

    def _remove(self, fates: Sequence[Fate], newest: int, grace: float) -> list[Fate]:
        gone: set[str] = set()

        def remove(some: Sequence[Fate]) -> None:
            wanted = self._collector.referenced_since(newest)
            for fate in some:
                if fate.kind == "leftover":
                    went = self._blobs.remove_leftover(fate.name)
                else:  # it may have been put again meanwhile
                    went = fate.name not in wanted and self._blobs.delete(fate.name, min_age=grace)
                if went:
                    gone.add(fate.name)

        for some in _batches(fate for fate in fates if fate.goes):
            self._changer.while_locked(partial(remove, some))
        return [fate if not fate.goes or fate.name in gone else _kept(fate) for fate in fates]


def _file(kind: Literal["blob", "leftover"], name: str, age: float, size: int, grace: float) -> Fate:
    from lorarack.registry.collection import Fate

    goes = age >= grace
    what = "no version has it" if kind == "blob" else "its writer is gone"
    why = what if goes else f"{what}, but it is younger than {grace:g} s: a publisher may be at work with it"
    return Fate(kind=kind, name=name, goes=goes, why=why, bytes=size)


def _kept(fate: Fate) -> Fate:
    return fate.model_copy(update={"goes": False, "why": "it came into use, or went, meanwhile"})


def _split(fate: Fate) -> tuple[str, int]:
    adapter, _, number = fate.name.partition("@")
    return adapter, int(number)


def _batches(things: Iterable[T]) -> Iterator[list[T]]:
    left = iter(things)
    while some := list(islice(left, _AT_ONCE)):
        yield some
