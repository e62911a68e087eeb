"""What the catalog knows for ``gc``: which versions may go, and which stored files the others have."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, func, select

from lorarack.registry.catalog.events import record
from lorarack.registry.catalog.retention import holds
from lorarack.registry.catalog.rows import ADAPTER, OWNED, VERSION, AdapterRow, VersionRow
from lorarack.registry.catalog.schema import ADAPTERS, ALIASES, LEASES, PARENTS, VERSIONS
from lorarack.registry.queries import GC_KINDS, GcItem, GcReport
from lorarack.registry.records import References
from lorarack.registry.values import State

_STAYS = {
    State.READY: "it is ready; archive it to let it go",
    State.QUARANTINED: "it is quarantined, kept for those who look into it; archive it to let it go",
    State.DAMAGED: "its stored files are damaged; publish it again from its source, or archive it to let it go",
}


def plan(connection: Connection) -> tuple[GcItem, ...]:
    """What becomes of each version, newest first: where a child goes its parent may follow."""
    held = _maybe_held(connection)
    query = select(VERSIONS.c.id, ADAPTERS.c.name, VERSIONS.c.number, VERSIONS.c.state).select_from(OWNED)
    items: list[GcItem] = []
    gone: set[int] = set()
    for version_id, name, number, state in connection.execute(query.order_by(VERSIONS.c.id.desc())).all():
        why = _STAYS.get(State(state)) or (_held(connection, version_id, gone) if version_id in held else None)
        if why is None:
            gone.add(version_id)
        reason = why or "it is archived and nothing holds it"
        items.append(GcItem(kind="version", name=f"{name}@{number}", removed=why is None, reason=reason))
    return tuple(items)


def read_references(connection: Connection, newer_than: int, without: Collection[tuple[str, int]]) -> References:
    """What the versions with a larger id refer to, ``without`` some; a version's files do not change."""
    newest = connection.scalar(select(func.max(VERSIONS.c.id))) or 0
    query = select(ADAPTERS.c.name, VERSIONS.c.number, VERSIONS.c.files).select_from(OWNED)
    found: set[str] = set()
    for name, number, files in connection.execute(query.where(VERSIONS.c.id > newer_than)):
        if (name, number) not in without:
            found.update(file["digest"] for file in files)
    return References(frozenset(found), newest)


def record_gc(connection: Connection, actor: str, report: GcReport) -> None:
    """Keep in the log what ``gc`` has removed."""
    counts: dict[str, Any] = {f"{kind}s": report.removed(kind) for kind in GC_KINDS}
    record(connection, actor, "collected", **counts, freed=report.freed)


def _maybe_held(connection: Connection) -> set[int]:
    """Ids of the versions for which the rules must be asked: few, as a rule."""
    ruled = (
        select(VERSIONS.c.id)
        .select_from(OWNED)
        .where(ADAPTERS.c.keep_last.is_not(None) | ADAPTERS.c.keep_days.is_not(None))
    )
    queries = (select(ALIASES.c.version_id), select(LEASES.c.version_id), select(PARENTS.c.parent_id), ruled)
    return {found for query in queries for found in connection.scalars(query)}


def _held(connection: Connection, version_id: int, gone: set[int]) -> str | None:
    query = select(*ADAPTER, *VERSION).select_from(OWNED).where(VERSIONS.c.id == version_id)
    columns = connection.execute(query).one()
    owner, row = AdapterRow(*columns[: len(ADAPTER)]), VersionRow(*columns[len(ADAPTER) :])
    found = holds(connection, owner, row, without=gone)
    return f"it is {'; it is also '.join(hold.sentence for hold in found)}" if found else None
