"""Versions of another registry into this one, all of them in one transaction."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from lorarack.registry.catalog.aliases import move_alias
from lorarack.registry.catalog.connection import Database
from lorarack.registry.catalog.events import record
from lorarack.registry.catalog.free_numbers import UsedNumbers
from lorarack.registry.catalog.new_version import NewVersion, adapter_for, add_metrics, insert_version, set_tags
from lorarack.registry.catalog.rows import ADAPTER, VERSION, AdapterRow, VersionRow, put
from lorarack.registry.catalog.schema import ADAPTERS, ALIASES, PARENTS, VERSIONS
from lorarack.registry.catalog.versions import BlobGone
from lorarack.registry.reference import DEFAULT_ALIAS
from lorarack.registry.values import State

#: An adapter's name and a digest, which name an artifact everywhere.
Known = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Arrival:
    """A version that comes in: ``number`` is what it was called there, ``parents`` are (artifact, relation)."""

    new: NewVersion
    number: int
    state: State
    state_reason: str | None
    created_at: datetime
    created_by: str
    parents: tuple[tuple[Known, str], ...]


@dataclass(frozen=True, slots=True)
class Landed:
    """Where one arrived: its number and state here, and whether it is new here; parents that are not here are counted."""

    number: int
    created: bool
    state: State
    lost_parents: int = 0


class CatalogImporter:
    """Adds versions as they were; ``actor`` is who does it."""

    def __init__(self, database: Database, actor: str) -> None:
        self._database = database
        self._actor = actor

    def add(
        self,
        arrivals: Sequence[Arrival],
        aliases: Mapping[str, Mapping[str, Known]],
        is_stored: Callable[[str], bool],
    ) -> tuple[list[Landed], list[str]]:
        """Add them all, or none; parents come before their children in ``arrivals``.

        A version keeps its number where that has never been used here, else it gets the next. An artifact that the adapter
        has already is that version, left as it is. Aliases are set where they are new here.

        Returns:
            What became of each, and the aliases (``support@prod``) that name something else here and were left.

        Raises:
            Conflict: an adapter stands on another base, or its name belongs to a base.
            BlobGone: a file of a version is not stored.
        """

        def work(connection: Connection) -> tuple[list[Landed], list[str]]:
            landed: list[Landed] = []
            numbers = _numbers(connection, arrivals)
            for arrival, number in zip(arrivals, numbers, strict=True):
                landed.append(self._land(connection, arrival, number, is_stored))
            left = [
                f"{adapter}@{alias}"
                for adapter, names in aliases.items()
                for alias, known in names.items()
                if not self._point(connection, adapter, alias, known)
            ]
            for adapter in dict.fromkeys(arrival.new.adapter for arrival in arrivals):
                self._point_default(connection, adapter)
            return landed, left

        return self._database.write(work)

    def _land(self, connection: Connection, arrival: Arrival, number: int, is_stored: Callable[[str], bool]) -> Landed:
        new = arrival.new
        row = _artifact(connection, (new.adapter, new.digest))
        if row is not None:
            return Landed(row.number, created=False, state=State(row.state))
        if not all(is_stored(file.digest) for file in new.files):
            raise BlobGone
        adapter = adapter_for(connection, new.adapter, new.base)
        _, row = insert_version(
            connection,
            self._actor,
            adapter,
            new,
            number=number,
            state=arrival.state.value,
            state_reason=arrival.state_reason,
            created_at=arrival.created_at,
            created_by=arrival.created_by,
        )
        add_metrics(connection, row.id, new.metrics, has_none=True)
        set_tags(connection, row.id, new.tags)
        lost = 0
        for known, relation in arrival.parents:
            parent = _artifact(connection, known)
            if parent is None or parent.id >= row.id:
                lost += 1
            else:
                put(connection, PARENTS, {"child_id": row.id, "parent_id": parent.id, "relation": relation})
        was = f"{new.adapter}@{arrival.number}"
        record(connection, self._actor, "imported", new.adapter, row.number, digest=new.digest, rank=new.rank, was=was)
        return Landed(row.number, created=True, state=arrival.state, lost_parents=lost)

    def _point(self, connection: Connection, adapter: str, alias: str, known: Known) -> bool:
        """Point a new alias at an artifact; whether it names that afterwards."""
        owner, row = _owner(connection, adapter), _artifact(connection, known)
        if owner is None or row is None:
            return False
        now_at = _named_by(connection, owner, alias)
        if now_at is None and row.state == State.READY:
            move_alias(connection, self._actor, owner, alias, row, None, "imported")
            return True
        return now_at == row.id

    def _point_default(self, connection: Connection, adapter: str) -> None:
        """As with publishing, an adapter's first version is its default until somebody says otherwise."""
        owner = _owner(connection, adapter)
        if owner is None or _named_by(connection, owner, DEFAULT_ALIAS) is not None:
            return
        ready = (VERSIONS.c.adapter_id == owner.id, VERSIONS.c.state == State.READY.value)
        query = select(*VERSION).where(*ready).order_by(VERSIONS.c.number).limit(1)
        first = connection.execute(query).first()
        if first is not None:
            move_alias(
                connection, self._actor, owner, DEFAULT_ALIAS, VersionRow(*first), None, "first imported version"
            )


def _numbers(connection: Connection, arrivals: Sequence[Arrival]) -> list[int]:
    """The number of each here: its own where no version has ever had it, else the next behind all of them."""
    used: dict[str, UsedNumbers] = {}
    behind: dict[str, int] = {}
    for arrival in arrivals:
        name = arrival.new.adapter
        if name not in used:
            owner = _owner(connection, name)
            used[name], behind[name] = UsedNumbers(connection, name), owner.next_number if owner else 1
        if _keeps(connection, arrival, used[name]):
            behind[name] = max(behind[name], arrival.number + 1)
    numbers = []
    for arrival in arrivals:
        name, number = arrival.new.adapter, arrival.number
        is_new = _artifact(connection, (name, arrival.new.digest)) is None
        if is_new and not used[name].is_free(number):
            number, behind[name] = behind[name], behind[name] + 1
        numbers.append(number)
    return numbers


def _keeps(connection: Connection, arrival: Arrival, used: UsedNumbers) -> bool:
    known = _artifact(connection, (arrival.new.adapter, arrival.new.digest))
    return known is None and used.is_free(arrival.number)


def _owner(connection: Connection, name: str) -> AdapterRow | None:
    found = connection.execute(select(*ADAPTER).where(ADAPTERS.c.name == name)).first()
    return AdapterRow(*found) if found else None


def _artifact(connection: Connection, known: Known) -> VersionRow | None:
    name, digest = known
    query = select(*VERSION).join_from(VERSIONS, ADAPTERS, ADAPTERS.c.id == VERSIONS.c.adapter_id)
    found = connection.execute(query.where(ADAPTERS.c.name == name, VERSIONS.c.digest == digest)).first()
    return VersionRow(*found) if found else None


def _named_by(connection: Connection, owner: AdapterRow, alias: str) -> int | None:
    """The id of the version that an alias names."""
    its = (ALIASES.c.adapter_id == owner.id, ALIASES.c.name == alias)
    return connection.scalar(select(ALIASES.c.version_id).where(*its))
