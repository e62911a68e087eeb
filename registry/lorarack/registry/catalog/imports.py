"""Versions of another registry into this one, all of them in one transaction."""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import Connection, select

from lorarack.registry.catalog.connection import put
from lorarack.registry.catalog.events import move_alias, record
from lorarack.registry.catalog.new_version import adapter_for, add_metrics, insert_version, set_tags
from lorarack.registry.catalog.rows import VERSION, AdapterRow, VersionRow, find_adapter, find_artifact
from lorarack.registry.catalog.schema import ALIASES, EVENTS, PARENTS, VERSIONS
from lorarack.registry.errors import BlobGone
from lorarack.registry.records import ArtifactKey, ImportResult, ImportRow
from lorarack.registry.reference import DEFAULT_ALIAS
from lorarack.registry.values import State


def import_versions(
    connection: Connection,
    actor: str,
    rows: Sequence[ImportRow],
    aliases: Mapping[str, Mapping[str, ArtifactKey]],
    is_stored: Callable[[str], bool],
) -> tuple[list[ImportResult], list[str]]:
    """Add all ``rows``, or none; parents come before their children.

    A version keeps its number where that has never been used here, else it gets the next. An artifact that the adapter
    has already is that version, left as it is. Aliases are set where they are new here.

    Returns:
        What became of each, and the aliases (``support@prod``) that name something else here and were left.

    Raises:
        Conflict: an adapter was trained on another base, or its name belongs to a base.
        BlobGone: a file of a version is not stored.
    """
    results = [
        _add(connection, actor, item, number, is_stored)
        for item, number in zip(rows, _numbers(connection, rows), strict=True)
    ]
    left = [
        f"{adapter}@{alias}"
        for adapter, names in aliases.items()
        for alias, known in names.items()
        if not _point(connection, actor, adapter, alias, known)
    ]
    for adapter in dict.fromkeys(item.new.adapter for item in rows):
        _point_default(connection, actor, adapter)
    return results, left


def _add(
    connection: Connection, actor: str, item: ImportRow, number: int, is_stored: Callable[[str], bool]
) -> ImportResult:
    new = item.new
    row = find_artifact(connection, (new.adapter, new.digest))
    if row is not None:
        return ImportResult(row.number, created=False, state=State(row.state))
    if not all(is_stored(file.digest) for file in new.files):
        raise BlobGone
    adapter = adapter_for(connection, new.adapter, new.base)
    _, row = insert_version(
        connection,
        actor,
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
        parent = find_artifact(connection, known)
        if parent is None or parent.id >= row.id:
            lost += 1
        else:
            put(connection, PARENTS, {"child_id": row.id, "parent_id": parent.id, "relation": relation})
    was = f"{new.adapter}@{item.number}"
    record(connection, actor, "imported", new.adapter, row.number, digest=new.digest, rank=new.rank, was=was)
    return ImportResult(row.number, created=True, state=item.state, lost_parents=lost)


def _point(connection: Connection, actor: str, adapter: str, alias: str, known: ArtifactKey) -> bool:
    """Point a new alias at an artifact; whether it names that afterwards."""
    owner, row = find_adapter(connection, adapter), find_artifact(connection, known)
    if owner is None or row is None:
        return False
    now_at = _named_by(connection, owner, alias)
    if now_at is None and row.state == State.READY:
        move_alias(connection, actor, owner, alias, row, None, "imported")
        return True
    return now_at == row.id


def _point_default(connection: Connection, actor: str, adapter: str) -> None:
    """As with publishing, an adapter's first version is its default until the alias is set."""
    owner = find_adapter(connection, adapter)
    if owner is None or _named_by(connection, owner, DEFAULT_ALIAS) is not None:
        return
    ready = (VERSIONS.c.adapter_id == owner.id, VERSIONS.c.state == State.READY.value)
    first = connection.execute(select(*VERSION).where(*ready).order_by(VERSIONS.c.number).limit(1)).first()
    if first is not None:
        row = VersionRow(*first)
        move_alias(connection, actor, owner, DEFAULT_ALIAS, row, None, "first imported version")


def _named_by(connection: Connection, owner: AdapterRow, alias: str) -> int | None:
    """The id of the version that an alias names."""
    its = (ALIASES.c.adapter_id == owner.id, ALIASES.c.name == alias)
    return connection.scalar(select(ALIASES.c.version_id).where(*its))


def _numbers(connection: Connection, rows: Sequence[ImportRow]) -> list[int]:
    """The number of each here: its own where no version has ever had it, else the next behind all of them."""
    used: dict[str, _UsedNumbers] = {}
    behind: dict[str, int] = {}
    new = [find_artifact(connection, (item.new.adapter, item.new.digest)) is None for item in rows]
    for item, is_new in zip(rows, new, strict=True):
        name = item.new.adapter
        if name not in used:
            owner = find_adapter(connection, name)
            used[name], behind[name] = _UsedNumbers(connection, name), owner.next_number if owner else 1
        if is_new and used[name].is_free(item.number):
            behind[name] = max(behind[name], item.number + 1)
    numbers = []
    for item, is_new in zip(rows, new, strict=True):
        name, number = item.new.adapter, item.number
        if is_new and not used[name].is_free(number):
            number, behind[name] = behind[name], behind[name] + 1
        numbers.append(number)
    return numbers


class _UsedNumbers:
    """The numbers that versions of one adapter have or had, from the log."""

    def __init__(self, connection: Connection, adapter: str) -> None:
        kinds = ("published", "imported")
        query = select(EVENTS.c.version, EVENTS.c.kind).where(EVENTS.c.adapter == adapter, EVENTS.c.kind.in_(kinds))
        self._used: set[int] = set()
        self._highest: list[int] = []  # each number that was higher than all before it, and how it came
        self._by: list[str] = []
        for number, kind in connection.execute(query.order_by(EVENTS.c.id)):
            self._used.add(number)
            if not self._highest or number > self._highest[-1]:
                self._highest.append(number)
                self._by.append(kind)

    def is_free(self, number: int) -> bool:
        """Whether no version has ever had the number.

        Publishing leaves no number out, so a number that it passed was used, though the log of an old registry may not know of a
        version that was deleted early. Only an import passes by numbers that were never used.
        """
        if number in self._used:
            return False
        place = bisect_right(self._highest, number)
        return place == len(self._highest) or self._by[place] == "imported"
