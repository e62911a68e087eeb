"""What a registry must accept and refuse, as far as it follows from a few dictionaries."""

from dataclasses import dataclass, field

Key = tuple[str, int]


@dataclass
class Entry:
    """A version: what it was published from, its place among all, its state and its parents."""

    source: int
    place: int
    state: str = "ready"
    parents: set[Key] = field(default_factory=set)


@dataclass
class Model:
    """Adapters and aliases after the calls that were accepted. Each question says whether a call must be."""

    versions: dict[Key, Entry] = field(default_factory=dict)
    next_number: dict[str, int] = field(default_factory=dict)
    #: By adapter and alias, the versions that it named, the present one last, without what was rolled back.
    named: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    keep_last: dict[str, int] = field(default_factory=dict)
    count: int = 0

    def pointing(self, adapter: str, alias: str) -> int:
        """The number that an alias names, or 0."""
        return self.named.get((adapter, alias), [0])[-1]

    def is_ready(self, key: Key) -> bool:
        return key in self.versions and self.versions[key].state == "ready"

    def same(self, adapter: str, source: int) -> Key | None:
        """The version of ``adapter`` that was published from ``source``."""
        found = (key for key, entry in self.versions.items() if key[0] == adapter and entry.source == source)
        return next(found, None)

    def may_publish(self, adapter: str, source: int, parent: Key | None) -> bool:
        if parent is not None and parent not in self.versions:
            return False
        same = self.same(adapter, source)
        if same is None:
            return True
        is_older = parent is None or self.versions[parent].place < self.versions[same].place
        return self.versions[same].state == "ready" and is_older

    def publish(self, adapter: str, source: int, parent: Key | None) -> Key:
        key = self.same(adapter, source)
        if key is None:
            number = self.next_number.get(adapter, 1)
            key = (adapter, number)
            self.count += 1
            self.versions[key] = Entry(source, self.count)
            self.next_number[adapter] = number + 1
            if number == 1:
                self.move(adapter, "default", 1)
        if parent is not None:
            self.versions[key].parents.add(parent)
        return key

    def may_move(self, adapter: str, alias: str, number: int, expect: int | None) -> bool:
        return self.is_ready((adapter, number)) and expect in (None, self.pointing(adapter, alias))

    def move(self, adapter: str, alias: str, number: int) -> None:
        named = self.named.setdefault((adapter, alias), [])
        if named[-1:] != [number]:
            named.append(number)

    def before(self, adapter: str, alias: str) -> int:
        """The number that a rollback leads to, or 0."""
        *before, present = self.named.get((adapter, alias), [0])
        return next((n for n in reversed(before) if n != present and self.is_ready((adapter, n))), 0)

    def roll_back(self, adapter: str, alias: str) -> None:
        named, target = self.named[adapter, alias], self.before(adapter, alias)
        while named[-1] != target:
            named.pop()

    def has_alias(self, key: Key) -> bool:
        return any(adapter == key[0] and named[-1] == key[1] for (adapter, _), named in self.named.items())

    def is_held(self, key: Key, without: frozenset[Key] = frozenset()) -> bool:
        """Whether an alias, a child that is not in ``without``, or the retention rule holds the version."""
        child = any(key in entry.parents for other, entry in self.versions.items() if other not in without)
        newer = sum(adapter == key[0] and number > key[1] for adapter, number in self.versions)
        return self.has_alias(key) or child or newer < self.keep_last.get(key[0], 0)

    def collect(self) -> None:
        """What ``gc`` removes: the newest first, so that a parent may follow its child."""
        planned: frozenset[Key] = frozenset()
        newest = sorted(self.versions, key=lambda key: -self.versions[key].place)
        for key in newest:
            if self.versions[key].state == "archived" and not self.is_held(key, planned):
                planned |= {key}
        for key in newest:
            if key in planned and not self.is_held(key):
                del self.versions[key]
