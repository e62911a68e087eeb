"""Versions of another registry into this one, all of them in one transaction."""

from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import Connection, select

from lorarack.registry.catalog.aliases import move_alias
from lorarack.registry.catalog.connection import Database
from lorarack.registry.catalog.events import record
from lorarack.registry.catalog.free_numbers import UsedNumbers
from lorarack.registry.catalog.new_version import adapter_for, add_metrics, insert_version, set_tags
from lorarack.registry.catalog.rows import ADAPTER, VERSION, AdapterRow, VersionRow, put
from lorarack.registry.catalog.schema import ADAPTERS, ALIASES, PARENTS, VERSIONS
from lorarack.registry.errors import BlobGone
from lorarack.registry.records import ArtifactKey, ImportResult, ImportRow
from lorarack.registry.reference import DEFAULT_ALIAS
from lorarack.registry.values import State


class CatalogImporter:
    """Adds versions as they were; ``actor`` is who does it."""

    def __init__(self, database: Database, actor: str) -> None:
        self._database = database
        self._actor = actor

    def add(
        self,
        rows: Sequence[ImportRow],
        aliases: Mapping[str, Mapping[str, ArtifactKey]],
        is_stored: Callable[[str], bool],
    ) -> tuple[list[ImportResult], list[str]]:
        """Add them all, or none; parents come before their children in ``rows``.

        A version keeps its number where that has never been used here, else it gets the next. An artifact that the adapter
        has already is that version, left as it is. Aliases are set where they are new here.

        Returns:
            What became of each, and the aliases (``support@prod``) that name something else here and were left.

        Raises:
            Conflict: an adapter stands on another base, or its name belongs to a base.
            BlobGone: a file of a version is not stored.
        """

        def work(connection: Connection) -> tuple[list[ImportResult], list[str]]:
            results: list[ImportResult] = []
            numbers = _numbers(connection, rows)
            for item, number in zip(rows, numbers, strict=True):
                results.append(self._add(connection, item, number, is_stored))
            left = [
                f"{adapter}@{alias}"
                for adapter, names in aliases.items()
                for alias, known in names.items()
                if not self._point(connection, adapter, alias, known)
            ]
            for adapter in dict.fromkeys(item.new.adapter for item in rows):
                self._point_default(connection, adapter)
            return results, left

        return self._database.write(work)

    def _add(
        self, connection: Connection, item: ImportRow, number: int, is_stored: Callable[[str], bool]
    ) -> ImportResult:
        new = item.new
        row = _artifact(connection, (new.adapter, new.digest))
        if row is not None:
            return ImportResult(row.number, created=False, state=State(row.state))
        if not all(is_stored(file.digest) for file in new.files):
            raise BlobGone
        adapter = adapter_for(connection, new.adapter, new.base)
        _, row = insert_version(
            connection,
            self._actor,
            adapter,
            new,
            number=number,
            state=item.state.value,
            state_reason=item.state_reason,
            created_at=item.created_at,
            created_by=item.created_by,
        )
        add_metrics(connection, row.id, new.metrics, has_none=True)
        set_tags(connection, row.id, new.tags)
        lost = 0
        for known, relation in item.parents:
            parent = _artifact(connection, known)
            if parent is None or parent.id >= row.id:
                lost += 1
            else:
                put(connection, PARENTS, {"child_id": row.id, "parent_id": parent.id, "relation": relation})
        was = f"{new.adapter}@{item.number}"
        record(connection, self._actor, "imported", new.adapter, row.number, digest=new.digest, rank=new.rank, was=was)
        return ImportResult(row.number, created=True, state=item.state, lost_parents=lost)

    def _point(self, connection: Connection, adapter: str, alias: str, known: ArtifactKey) -> bool:
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


def _numbers(connection: Connection, rows: Sequence[ImportRow]) -> list[int]:
    """The number of each here: its own where no version has ever had it, else the next behind all of them."""
    used: dict[str, UsedNumbers] = {}
    behind: dict[str, int] = {}
    for item in rows:
        name = item.new.adapter
        if name not in used:
            owner = _owner(connection, name)
            used[name], behind[name] = UsedNumbers(connection, name), owner.next_number if owner else 1
        if _keeps(connection, item, used[name]):
            behind[name] = max(behind[name], item.number + 1)
    numbers = []
    for item in rows:
        name, number = item.new.adapter, item.number
        is_new = _artifact(connection, (name, item.new.digest)) is None
        if is_new and not used[name].is_free(number):
            number, behind[name] = behind[name], behind[name] + 1
        numbers.append(number)
    return numbers


def _keeps(connection: Connection, item: ImportRow, used: UsedNumbers) -> bool:
    known = _artifact(connection, (item.new.adapter, item.new.digest))
    return known is None and used.is_free(item.number)


def _owner(connection: Connection, name: str) -> AdapterRow | None:
    found = connection.execute(select(*ADAPTER).where(ADAPTERS.c.name == name)).first()
    return AdapterRow(*found) if found else None


def _artifact(connection: Connection, known: ArtifactKey) -> VersionRow | None:
    name, digest = known
    query = select(*VERSION).join_from(VERSIONS, ADAPTERS, ADAPTERS.c.id == VERSIONS.c.adapter_id)
    found = connection.execute(query.where(ADAPTERS.c.name == name, VERSIONS.c.digest == digest)).first()
    return VersionRow(*found) if found else None


def _named_by(connection: Connection, owner: AdapterRow, alias: str) -> int | None:
    """The id of the version that an alias names."""
    its = (ALIASES.c.adapter_id == owner.id, ALIASES.c.name == alias)
    return connection.scalar(select(ALIASES.c.version_id).where(*its))
