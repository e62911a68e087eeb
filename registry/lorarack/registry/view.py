"""One adapter in memory, indexed for every selector of a reference, and changed without being built anew."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from lorarack.registry.pages import PagedList, PagedMap
from lorarack.registry.values import State, Version


@dataclass(frozen=True, slots=True)
class AdapterView:
    """One adapter as it stood at one moment.

    ``by_number`` is in no particular order. ``ready`` has the numbers of ready versions under their rank and under None those
    of all ranks. ``digests`` has (64 digits, number). None of them is changed once it is here.
    """

    name: str
    base: str
    aliases: Mapping[str, int]
    created_at: datetime
    by_number: PagedMap[Version]
    ready: Mapping[int | None, PagedList[int]]
    digests: PagedList[tuple[str, int]]

    @classmethod
    def of(
        cls, name: str, base: str, versions: Iterable[Version], aliases: Mapping[str, int], created_at: datetime
    ) -> "AdapterView":
        """Build it from all versions."""
        by_number = PagedMap((version.number, version) for version in versions)
        ready: dict[int | None, list[int]] = {None: []}
        for version in by_number.values():
            if version.state is State.READY:
                ready[None].append(version.number)
                ready.setdefault(version.rank, []).append(version.number)
        paged = {rank: PagedList(numbers) for rank, numbers in ready.items()}
        digests = PagedList((_digits(version), version.number) for version in by_number.values())
        return cls(name, base, aliases, created_at, by_number, paged, digests)

    @property
    def versions(self) -> tuple[Version, ...]:
        """All versions, by number."""
        return tuple(self.by_number[number] for number in sorted(self.by_number))

    def numbered(self, number: int) -> Version | None:
        """The version with that number."""
        return self.by_number.get(number)

    def newest(self, rank: int | None = None) -> Version | None:
        """The newest ready version (of that rank)."""
        numbers = self.ready.get(rank)
        return self.by_number[numbers.last()] if numbers else None

    def with_digest(self, prefix: str) -> list[Version]:
        """The versions whose digest starts with these digits, by number."""
        found = []
        for digits, number in self.digests.since((prefix, 0)):
            if not digits.startswith(prefix):
                break
            found.append(self.by_number[number])
        return sorted(found, key=lambda version: version.number)

    def changed(self, changes: Mapping[int, Version | None], aliases: Mapping[str, int]) -> "AdapterView":
        """The view after ``changes``: versions by number, None for one that is gone. Work grows with the changes, not with the
        view."""
        ready = dict(self.ready)
        digests = self.digests
        for number, after in changes.items():
            before = self.by_number.get(number)
            if (before and before.digest) != (after and after.digest):
                digests = digests.changed(
                    drop=(_digits(before), number) if before else None, add=(_digits(after), number) if after else None
                )
            _reready(ready, number, before, after)
        return replace(self, by_number=self.by_number.changed(changes), ready=ready, digests=digests, aliases=aliases)


def _digits(version: Version) -> str:
    return version.digest.removeprefix("sha256:")


def _reready(
    ready: dict[int | None, PagedList[int]], number: int, before: Version | None, after: Version | None
) -> None:
    was = before is not None and before.state is State.READY
    now = after is not None and after.state is State.READY
    known = after or before
    if was == now or known is None:
        return
    for key in (None, known.rank):
        numbers = ready.get(key) or PagedList()
        ready[key] = numbers.changed(add=number) if now else numbers.changed(drop=number)
