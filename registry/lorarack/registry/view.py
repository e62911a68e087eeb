"""One adapter in memory, indexed for every selector of a reference."""

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from lorarack.registry.values import State, Version


@dataclass(frozen=True, slots=True)
class AdapterView:
    """One adapter as it stood at one moment.

    ``by_number`` is in no particular order. ``ready`` has the numbers of ready versions, ascending, under their rank and under
    None those of all ranks. ``digests`` has (64 digits, number), ascending. None of them changes once it is here.
    """

    name: str
    base: str
    aliases: Mapping[str, int]
    created_at: datetime
    by_number: Mapping[int, Version]
    ready: Mapping[int | None, Sequence[int]]
    digests: Sequence[tuple[str, int]]

    @classmethod
    def of(
        cls, name: str, base: str, versions: Iterable[Version], aliases: Mapping[str, int], created_at: datetime
    ) -> "AdapterView":
        """Build it from all versions."""
        by_number = {version.number: version for version in versions}
        ready: dict[int | None, list[int]] = {None: []}
        for number in sorted(by_number):
            version = by_number[number]
            if version.state is State.READY:
                ready[None].append(number)
                ready.setdefault(version.rank, []).append(number)
        digests = sorted((_digits(version), version.number) for version in by_number.values())
        return cls(name, base, aliases, created_at, by_number, ready, digests)

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
        return self.by_number[numbers[-1]] if numbers else None

    def with_digest(self, prefix: str) -> list[Version]:
        """The versions whose digest starts with these digits, by number."""
        found = []
        for place in range(bisect_left(self.digests, (prefix, 0)), len(self.digests)):
            digits, number = self.digests[place]
            if not digits.startswith(prefix):
                break
            found.append(self.by_number[number])
        return sorted(found, key=lambda version: version.number)

    def changed(self, changes: Mapping[int, Version | None], aliases: Mapping[str, int]) -> "AdapterView":
        """The view after ``changes``: versions by number, None for one that is gone. Indexes are copied, not built again."""
        by_number, digests = dict(self.by_number), list(self.digests)
        ready = {rank: list(numbers) for rank, numbers in self.ready.items()}
        for number, after in changes.items():
            before = by_number.pop(number, None)
            if before is not None:
                _remove(digests, (_digits(before), number))
                if before.state is State.READY:
                    _remove(ready[None], number)
                    _remove(ready[before.rank], number)
            if after is not None:
                by_number[number] = after
                insort(digests, (_digits(after), number))
                if after.state is State.READY:
                    insort(ready[None], number)
                    insort(ready.setdefault(after.rank, []), number)
        return replace(self, by_number=by_number, ready=ready, digests=digests, aliases=aliases)


def _digits(version: Version) -> str:
    return version.digest.removeprefix("sha256:")


def _remove(ordered: list[Any], value: Any) -> None:
    del ordered[bisect_left(ordered, value)]
