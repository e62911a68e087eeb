"""What the catalog knows for ``gc``: which versions may go, and which stored files the others have."""

from collections.abc import Collection

from sqlalchemy import Connection, func, select

from lorarack.registry.catalog.connection import Database
from lorarack.registry.catalog.events import now
from lorarack.registry.catalog.retention import holds
from lorarack.registry.catalog.rows import ADAPTER, VERSION, AdapterRow, VersionRow
from lorarack.registry.catalog.schema import ADAPTERS, ALIASES, LEASES, PARENTS, VERSIONS
from lorarack.registry.queries import GcItem, Retention
from lorarack.registry.records import References
from lorarack.registry.values import State

#: Versions by adapter and number.
Names = Collection[tuple[str, int]]

_STAYS = {
    State.READY: "it is ready; archive it to let it go",
    State.QUARANTINED: "it is quarantined, kept for those who look into it; archive it to let it go",
    State.DAMAGED: "its stored files are damaged; publish it again from its source, or archive it to let it go",
}


class CatalogCollector:
    """Reads for ``gc``; ``CatalogChanger`` removes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def plan(self) -> tuple[GcItem, ...]:
        """What becomes of each version, newest first: where a child goes its parent may follow."""
        with self._database.reading() as connection:
            held = _maybe_held(connection)
            columns = select(VERSIONS.c.id, ADAPTERS.c.name, VERSIONS.c.number, VERSIONS.c.state)
            query = columns.join_from(VERSIONS, ADAPTERS, ADAPTERS.c.id == VERSIONS.c.adapter_id).order_by(
                VERSIONS.c.id.desc()
            )
            items: list[GcItem] = []
            gone: set[int] = set()
            for version_id, name, number, state in connection.execute(query).all():
                why = _STAYS.get(State(state)) or (_held(connection, version_id, gone) if version_id in held else None)
                if why is None:
                    gone.add(version_id)
                items.append(
                    GcItem(
                        kind="version",
                        name=f"{name}@{number}",
                        removed=why is None,
                        reason=why or "it is archived and nothing holds it",
                    )
                )
            return tuple(items)

    def retention(self, adapter: str) -> Retention | None:
        """The adapter's retention rule; None: no such adapter."""
        query = select(ADAPTERS.c.keep_last, ADAPTERS.c.keep_days).where(ADAPTERS.c.name == adapter)
        with self._database.reading() as connection:
            row = connection.execute(query).first()
        return Retention(keep_last=row[0], keep_days=row[1]) if row else None

    def references(self, newer_than: int, without: Names) -> References:
        """What the versions with a larger id refer to, ``without`` some; a version's files do not change."""
        left_out = set(without)
        query = select(ADAPTERS.c.name, VERSIONS.c.number, VERSIONS.c.files)
        query = query.join_from(VERSIONS, ADAPTERS, ADAPTERS.c.id == VERSIONS.c.adapter_id)
        with self._database.reading() as connection:
            newest = connection.scalar(select(func.max(VERSIONS.c.id))) or 0
            found: set[str] = set()
            for name, number, files in connection.execute(query.where(VERSIONS.c.id > newer_than)):
                if (name, number) not in left_out:
                    found.update(file["digest"] for file in files)
        return References(frozenset(found), newest)


def _maybe_held(connection: Connection) -> set[int]:
    """Ids of the versions for which the rules must be asked: few, as a rule."""
    ruled = select(VERSIONS.c.id).join_from(VERSIONS, ADAPTERS, ADAPTERS.c.id == VERSIONS.c.adapter_id)
    ruled = ruled.where(ADAPTERS.c.keep_last.is_not(None) | ADAPTERS.c.keep_days.is_not(None))
    queries = (select(ALIASES.c.version_id), select(LEASES.c.version_id), select(PARENTS.c.parent_id), ruled)
    return {found for query in queries for found in connection.scalars(query)}


def _held(connection: Connection, version_id: int, gone: set[int]) -> str | None:
    row = VersionRow(*connection.execute(select(*VERSION).where(VERSIONS.c.id == version_id)).one())
    owner = AdapterRow(*connection.execute(select(*ADAPTER).where(ADAPTERS.c.id == row.adapter_id)).one())
    found = holds(connection, owner, row, now(connection), without=gone)
    return f"it is {'; it is also '.join(hold.sentence for hold in found)}" if found else None
