"""What can be asked of the catalog. Each call sees one moment of the database."""

from collections import defaultdict
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from sqlalchemy import ColumnElement, bindparam, func, select
from sqlalchemy.orm import Session

from lorarack.registry.catalog.database import Database
from lorarack.registry.catalog.loading import WHOLE, load_versions, with_belongings
from lorarack.registry.catalog.mapping import alias_value, base_value, event_value
from lorarack.registry.catalog.tables import AdapterRow, AliasRow, BaseIdRow, BaseRow, EventRow, VersionRow
from lorarack.registry.reference import ByAlias, ByDigest, ByNumber, ByRank, Latest, Reference
from lorarack.registry.values import Adapter, Alias, Base, Event, State, Version
from lorarack.registry.view import AdapterView

#: Numbers beyond this are no row's: SQLite would refuse to compare them.
LARGEST = 2**63 - 1


class CatalogReader:
    """Reads values out of the rows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def changes(self) -> int:
        """A number that grows with every committed write: the cursor of the newest event."""
        with self._database.reading() as session:
            return read_changes(session)

    def bases(self) -> tuple[Base, ...]:
        """All base models, by name."""
        with self._database.reading() as session:
            return read_bases(session)

    def names(self) -> tuple[str, ...]:
        """Names of all adapters."""
        with self._database.reading() as session:
            return tuple(session.scalars(select(AdapterRow.name).order_by(AdapterRow.name)))

    def near(self, name: str) -> list[str]:
        """Names of adapters that may have been meant by ``name``."""
        return get_close_matches(name, self.names(), n=3)

    def adapters(self) -> tuple[Adapter, ...]:
        """All adapters, by name, without their versions."""
        with self._database.reading() as session:
            return read_summaries(session)

    def adapter(self, name: str) -> AdapterView | None:
        """One adapter with everything about its versions, or None."""
        with self._database.reading() as session:
            return read_views(session, name).get(name)

    def pick(self, reference: Reference) -> Version | None:
        """The version that a reference names, by one indexed look; None when there is none or not exactly one."""
        with self._database.reading() as session:
            rows = session.connection().execute(*_query(reference)).mappings().all()
            return next(with_belongings(session, rows)) if len(rows) == 1 else None

    def alias_moves(self, adapter: str, alias: str | None) -> tuple[Alias, ...]:
        """Every move of the adapter's aliases (or of one), oldest first."""
        query = (
            select(EventRow).where(EventRow.adapter == adapter, EventRow.kind == "alias_moved").order_by(EventRow.id)
        )
        with self._database.reading() as session:
            moves = (alias_value(row) for row in session.scalars(query))
            return tuple(move for move in moves if alias is None or move.name == alias)

    def aliases(self, adapter: str | None) -> tuple[Alias, ...]:
        """Where the aliases (of one adapter) point now, by adapter and name."""
        query = select(EventRow).join(AliasRow, AliasRow.event_id == EventRow.id)
        if adapter is not None:
            query = query.where(EventRow.adapter == adapter)
        with self._database.reading() as session:
            found = (alias_value(row) for row in session.scalars(query))
            return tuple(sorted(found, key=lambda alias: (alias.adapter, alias.name)))

    def events(self, after: int, limit: int, adapter: str | None) -> tuple[Event, ...]:
        """The first ``limit`` events (of one adapter) behind cursor ``after``."""
        query = select(EventRow).where(EventRow.id > after).order_by(EventRow.id).limit(limit)
        if adapter is not None:
            query = query.where(EventRow.adapter == adapter)
        with self._database.reading() as session:
            return tuple(event_value(row) for row in session.scalars(query))


def read_changes(session: Session) -> int:
    """The cursor of the newest event, as ``session`` sees it."""
    return int(session.scalar(select(func.max(EventRow.id))) or 0)


def read_bases(session: Session) -> tuple[Base, ...]:
    """All base models as ``session`` sees them."""
    ids: dict[int, list[BaseIdRow]] = defaultdict(list)
    for known in session.scalars(select(BaseIdRow).order_by(BaseIdRow.id)):
        ids[known.base_id].append(known)
    rows = session.scalars(select(BaseRow).order_by(BaseRow.name)).all()
    names = {row.id: row.name for row in rows}
    return tuple(base_value(row, ids[row.id], names.get(row.original_id or 0)) for row in rows)


def read_views(session: Session, name: str | None = None, *, brief: bool = False) -> dict[str, AdapterView]:
    """All adapters (or the one called ``name``) as ``session`` sees them, by name."""
    conditions: list[ColumnElement[bool]] = [AdapterRow.name == name] if name is not None else []
    query = select(AdapterRow, BaseRow.name).join(BaseRow, BaseRow.id == AdapterRow.base_id).where(*conditions)
    versions: dict[str, list[Version]] = defaultdict(list)
    for version in load_versions(session, conditions, brief=brief):
        versions[version.adapter].append(version)
    return {
        row.name: AdapterView.of(row.name, base, versions[row.name], aliases_of(versions[row.name]), row.created_at)
        for row, base in session.execute(query.order_by(AdapterRow.name))
    }


def aliases_of(versions: list[Version]) -> Mapping[str, int]:
    """Which number each alias names."""
    return {alias: version.number for version in versions for alias in version.aliases}


def read_summaries(session: Session) -> tuple[Adapter, ...]:
    """All adapters with counts in place of their versions."""
    ready = VersionRow.state == State.READY.value
    counts: dict[int, tuple[int, int | None]] = {}
    grouped = select(VersionRow.adapter_id, func.count(), func.max(VersionRow.number).filter(ready)).group_by(
        VersionRow.adapter_id
    )
    for adapter_id, count, latest in session.execute(grouped):
        counts[adapter_id] = count, latest
    ranks: dict[int, list[int]] = defaultdict(list)
    distinct = select(VersionRow.adapter_id, VersionRow.rank).where(ready).distinct().order_by(VersionRow.rank)
    for adapter_id, rank in session.execute(distinct):
        ranks[adapter_id].append(rank)
    aliases: dict[int, dict[str, int]] = defaultdict(dict)
    pointing = select(AliasRow.adapter_id, AliasRow.name, VersionRow.number).join(
        VersionRow, VersionRow.id == AliasRow.version_id
    )
    for adapter_id, alias, number in session.execute(pointing.order_by(AliasRow.name)):
        aliases[adapter_id][alias] = number
    query = select(AdapterRow, BaseRow.name).join(BaseRow, BaseRow.id == AdapterRow.base_id).order_by(AdapterRow.name)
    return tuple(
        Adapter(
            name=row.name,
            base=base,
            versions=counts.get(row.id, (0, None))[0],
            latest=counts.get(row.id, (0, None))[1],
            ranks=tuple(ranks[row.id]),
            aliases=aliases[row.id],
            created_at=row.created_at,
        )
        for row, base in session.execute(query)
    )


_OF_ADAPTER: Any = WHOLE.where(AdapterRow.name == bindparam("name"))
_NEWEST = _OF_ADAPTER.where(VersionRow.state == State.READY.value).order_by(VersionRow.number.desc()).limit(1)
_BY_NUMBER = _OF_ADAPTER.where(VersionRow.number == bindparam("number"))
_BY_RANK = _NEWEST.where(VersionRow.rank == bindparam("rank"))
_BY_ALIAS = _OF_ADAPTER.where(
    VersionRow.id == select(AliasRow.version_id).where(
        AliasRow.adapter_id == AdapterRow.id, AliasRow.name == bindparam("alias")
    ).correlate(AdapterRow.__table__).scalar_subquery()
)  # fmt: skip
#: A range, not LIKE: it uses the index. Two are enough to know that it is not one.
_BY_DIGEST = _OF_ADAPTER.where(VersionRow.digest >= bindparam("start"), VersionRow.digest < bindparam("end")).limit(2)


def _query(reference: Reference) -> tuple[Any, dict[str, Any]]:
    """The statement for the versions that the reference may name (one where it is clear), and its parameters."""
    name = {"name": reference.name}
    match reference.selector:
        case ByNumber(number):
            return _BY_NUMBER, name | {"number": min(number, LARGEST)}
        case ByAlias(alias):
            return _BY_ALIAS, name | {"alias": alias}
        case Latest():
            return _NEWEST, name
        case ByRank(rank):
            return _BY_RANK, name | {"rank": rank}
        case ByDigest(prefix):
            return _BY_DIGEST, name | {"start": f"sha256:{prefix}", "end": f"sha256:{prefix}g"}
