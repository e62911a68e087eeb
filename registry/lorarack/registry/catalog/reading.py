"""What can be asked of the catalog. Each call sees one moment of the database."""

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from lorarack.registry.catalog.database import Database
from lorarack.registry.catalog.mapping import alias_value, base_value, version_value
from lorarack.registry.catalog.tables import (
    AdapterRow,
    AliasMoveRow,
    AliasRow,
    BaseIdRow,
    BaseRow,
    MetricRow,
    VersionRow,
)
from lorarack.registry.resolution import AdapterView
from lorarack.registry.values import Alias, Base

_CHANGES = text("SELECT value FROM counters WHERE name = 'changes'")


class CatalogReader:
    """Reads values out of the rows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def changes(self) -> int:
        """A number that grows with every committed write."""
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

    def adapter(self, name: str) -> AdapterView | None:
        """One adapter with everything about its versions, or None."""
        with self._database.reading() as session:
            return read_adapters(session, name=name).get(name)

    def everything(self, metrics: bool = True) -> tuple[int, tuple[Base, ...], dict[str, AdapterView]]:
        """The change number, all bases and all adapters of one moment; without ``metrics`` their lists stay empty."""
        with self._database.reading() as session:
            return read_changes(session), read_bases(session), read_adapters(session, metrics=metrics)

    def alias_moves(self, adapter: str, alias: str | None) -> tuple[Alias, ...]:
        """Every move of the adapter's aliases (or of one), oldest first."""
        with self._database.reading() as session:
            query = (
                select(AliasMoveRow)
                .join(AdapterRow, AdapterRow.id == AliasMoveRow.adapter_id)
                .where(AdapterRow.name == adapter)
                .order_by(AliasMoveRow.id)
            )
            if alias is not None:
                query = query.where(AliasMoveRow.name == alias)
            return tuple(alias_value(row, adapter) for row in session.scalars(query))

    def aliases(self, adapter: str | None) -> tuple[Alias, ...]:
        """Where the aliases (of one adapter) point now, by adapter and name."""
        with self._database.reading() as session:
            query = (
                select(AliasMoveRow, AdapterRow.name)
                .join(AliasRow, AliasRow.move_id == AliasMoveRow.id)
                .join(AdapterRow, AdapterRow.id == AliasRow.adapter_id)
                .order_by(AdapterRow.name, AliasRow.name)
            )
            if adapter is not None:
                query = query.where(AdapterRow.name == adapter)
            return tuple(alias_value(row, name) for row, name in session.execute(query))


def read_changes(session: Session) -> int:
    """The change number as ``session`` sees it."""
    return int(session.scalar(_CHANGES) or 0)


def read_bases(session: Session) -> tuple[Base, ...]:
    """All base models as ``session`` sees them."""
    ids: dict[int, list[BaseIdRow]] = defaultdict(list)
    for known in session.scalars(select(BaseIdRow).order_by(BaseIdRow.id)):
        ids[known.base_id].append(known)
    rows = session.scalars(select(BaseRow).order_by(BaseRow.name))
    return tuple(base_value(row, ids[row.id]) for row in rows)


def read_adapters(session: Session, name: str | None = None, metrics: bool = True) -> dict[str, AdapterView]:
    """All adapters (or the one called ``name``) as ``session`` sees them, by name."""
    query = select(AdapterRow, BaseRow).join(BaseRow, BaseRow.id == AdapterRow.base_id).order_by(AdapterRow.name)
    if name is not None:
        query = query.where(AdapterRow.name == name)
    found = session.execute(query).all()
    chosen = [adapter.id for adapter, _ in found] if name is not None else None
    versions = _versions(session, chosen)
    points = _metrics(session, versions) if metrics else {}
    pointing = _aliases(session, chosen)
    views = {}
    for adapter, base in found:
        own = versions.get(adapter.id, ())
        aliases = pointing.get(adapter.id, {})
        numbers = {alias: version.number for version in own for alias in aliases.get(version.id, ())}
        views[adapter.name] = AdapterView(
            name=adapter.name,
            base=base.name,
            versions=tuple(
                version_value(row, adapter.name, base, points.get(row.id, ()), aliases.get(row.id, ())) for row in own
            ),
            aliases=numbers,
            created_at=adapter.created_at,
        )
    return views


def _versions(session: Session, adapters: Sequence[int] | None) -> dict[int, list[VersionRow]]:
    query = select(VersionRow).order_by(VersionRow.adapter_id, VersionRow.number)
    if adapters is not None:
        query = query.where(VersionRow.adapter_id.in_(adapters))
    grouped: dict[int, list[VersionRow]] = defaultdict(list)
    for row in session.scalars(query):
        grouped[row.adapter_id].append(row)
    return grouped


def _metrics(session: Session, versions: dict[int, list[VersionRow]]) -> dict[int, list[MetricRow]]:
    grouped: dict[int, list[MetricRow]] = defaultdict(list)
    query = select(MetricRow).join(VersionRow, VersionRow.id == MetricRow.version_id).order_by(MetricRow.id)
    query = query.where(VersionRow.adapter_id.in_(versions))
    for row in session.scalars(query):
        grouped[row.version_id].append(row)
    return grouped


def _aliases(session: Session, adapters: Sequence[int] | None) -> dict[int, dict[int, list[str]]]:
    query = select(AliasRow)
    if adapters is not None:
        query = query.where(AliasRow.adapter_id.in_(adapters))
    grouped: dict[int, dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
    for row in session.scalars(query):
        grouped[row.adapter_id][row.version_id].append(row.name)
    return grouped
