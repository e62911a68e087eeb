"""What can be asked of the catalog. Each call sees one moment of the database."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, Text, bindparam, cast, func, select

from lorarack.registry.artifact.manifest import WEIGHTS
from lorarack.registry.catalog.connection import Database, home_of
from lorarack.registry.catalog.dialect import is_listed
from lorarack.registry.catalog.row_values import alias_value, base_id_value, base_value, event_value
from lorarack.registry.catalog.schema import ADAPTERS, ALIASES, BASE_IDS, BASES, EVENTS, VERSIONS
from lorarack.registry.catalog.version_values import load_versions, version_query, with_belongings
from lorarack.registry.reference import ByAlias, ByDigest, ByNumber, ByRank, Latest, Reference
from lorarack.registry.values import Adapter, Alias, Base, BaseId, Event, ModuleTable, State, StoredFile, Version
from lorarack.registry.view import AdapterView

#: Numbers beyond this are no row's: SQLite would refuse to compare them.
LARGEST = 2**63 - 1

#: The modules of base models by fingerprint, of which they are a part: they never change, and there may be a thousand.
Shapes = dict[str, ModuleTable]


class CatalogReader:
    """Reads values out of the rows."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._shapes: Shapes = {}

    def last_event_id(self) -> int:
        """A number that grows with every committed write: the cursor of the newest event."""
        with self._database.reading() as connection:
            return read_last_event_id(connection)

    def bases(self) -> tuple[Base, ...]:
        """All base models, by name."""
        with self._database.reading() as connection:
            return read_bases(connection, self._shapes)

    def adapter_names(self) -> tuple[str, ...]:
        """Names of all adapters."""
        with self._database.reading() as connection:
            return tuple(connection.scalars(select(ADAPTERS.c.name).order_by(ADAPTERS.c.name)))

    def has_adapter(self, name: str) -> bool:
        """Whether there is an adapter of that name."""
        with self._database.reading() as connection:
            return connection.scalar(_adapter_id(), {"name": name}) is not None

    def adapters(self) -> tuple[Adapter, ...]:
        """All adapters, by name, without their versions."""
        with self._database.reading() as connection:
            return read_summaries(connection)

    def adapter(self, name: str, *, with_curves: bool = False) -> AdapterView | None:
        """One adapter with everything about its versions, or None; the points of curves only where they are asked for."""
        with self._database.reading() as connection:
            return read_views(connection, name, with_curves=with_curves).get(name)

    def find_version(self, reference: Reference, *, with_curves: bool = False) -> Version | None:
        """The version that a reference names, by one indexed look; None when there is none or not exactly one.

        The points of its curves, of which there may be 100,000, only where they are asked for.
        """
        with self._database.reading() as connection:
            by, given = _selected(reference)
            rows = connection.execute(_picking(by), {"name": reference.name, **given}).mappings().all()
            return with_belongings(connection, rows[0], curves=with_curves) if len(rows) == 1 else None

    def same_weights(self, adapter: str, files: Iterable[StoredFile]) -> list[tuple[str, tuple[StoredFile, ...]]]:
        """Digest and files of each version of ``adapter`` that has the weight file among ``files``."""
        weights = next(file for file in files if file.name == WEIGHTS)
        query = (
            select(VERSIONS.c.digest, VERSIONS.c.files)
            .join_from(VERSIONS, ADAPTERS, ADAPTERS.c.id == VERSIONS.c.adapter_id)
            .where(ADAPTERS.c.name == adapter, VERSIONS.c.bytes == weights.bytes)
            .where(cast(VERSIONS.c.files, Text).contains(weights.digest))
        )
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        return [(digest, tuple(StoredFile.model_validate(file) for file in stored)) for digest, stored in rows]

    def alias_moves(self, adapter: str, alias: str | None) -> tuple[Alias, ...]:
        """Every move of the adapter's aliases (or of one), oldest first."""
        query = select(EVENTS).where(EVENTS.c.adapter == adapter, EVENTS.c.kind == "alias_moved").order_by(EVENTS.c.id)
        with self._database.reading() as connection:
            moves = (alias_value(row) for row in connection.execute(query))
            return tuple(move for move in moves if alias is None or move.name == alias)

    def aliases(self, adapter: str | None) -> tuple[Alias, ...]:
        """Where the aliases (of one adapter) point now, by adapter and name."""
        query = select(EVENTS).join_from(ALIASES, EVENTS, ALIASES.c.event_id == EVENTS.c.id)
        if adapter is not None:
            query = query.where(EVENTS.c.adapter == adapter)
        with self._database.reading() as connection:
            found = (alias_value(row) for row in connection.execute(query))
            return tuple(sorted(found, key=lambda alias: (alias.adapter, alias.name)))

    def events(self, after: int, limit: int, adapter: str | None) -> tuple[Event, ...]:
        """The first ``limit`` events (of one adapter) behind cursor ``after``."""
        query = (
            select(EVENTS)
            .where(EVENTS.c.id > min(max(after, 0), LARGEST))
            .order_by(EVENTS.c.id)
            .limit(min(limit, LARGEST))
        )
        if adapter is not None:
            query = query.where(EVENTS.c.adapter == adapter)
        with self._database.reading() as connection:
            return tuple(event_value(row) for row in connection.execute(query))


def read_last_event_id(connection: Connection) -> int:
    """The cursor of the newest event, as ``connection`` sees it."""
    return int(connection.scalar(select(func.max(EVENTS.c.id))) or 0)


def read_bases(connection: Connection, shapes: Shapes) -> tuple[Base, ...]:
    """All base models as ``connection`` sees them; ``shapes`` has those read before, and gets those that it lacks."""
    home = home_of(connection)
    ids: dict[int, list[BaseId]] = defaultdict(list)
    rows: dict[int, Row[Any]] = {}
    for row in connection.execute(_bases_and_ids()):
        rows.setdefault(row.id, row)
        if row.kind is not None:
            ids[row.id].append(base_id_value(row, home))
    lacking = [row.fingerprint for row in rows.values() if row.fingerprint not in shapes]
    if lacking:
        query = select(BASES.c.fingerprint, BASES.c.modules).where(is_listed(BASES.c.fingerprint, lacking))
        for fingerprint, modules in connection.execute(query):
            shapes[fingerprint] = {name: (shape[0], shape[1]) for name, shape in modules.items()}
    names = {row.id: row.name for row in rows.values()}
    return tuple(
        base_value(row, shapes[row.fingerprint], ids[row.id], names.get(row.original_id or 0)) for row in rows.values()
    )


@cache
def _bases_and_ids() -> Select[Any]:
    """Each base, by name, as often as it has ids, which come in the order in which they became known; without its modules."""
    own = [column for column in BASES.c if column.name != "modules"]
    query = select(
        *own, BASE_IDS.c.kind, BASE_IDS.c.value, BASE_IDS.c.revision, BASE_IDS.c.template.label("id_template")
    )
    joined = BASES.outerjoin(BASE_IDS, BASE_IDS.c.base_id == BASES.c.id)
    return query.select_from(joined).order_by(BASES.c.name, BASE_IDS.c.id)


@cache
def _adapter_id() -> Select[Any]:
    return select(ADAPTERS.c.id).where(ADAPTERS.c.name == bindparam("name"))


def read_views(
    connection: Connection, name: str | None = None, *, brief: bool = False, with_curves: bool = False
) -> dict[str, AdapterView]:
    """All adapters (or the one called ``name``) as ``connection`` sees them, by name."""
    conditions: list[ColumnElement[bool]] = [ADAPTERS.c.name == name] if name is not None else []
    query = _adapters_with_base().where(*conditions)
    versions: dict[str, list[Version]] = defaultdict(list)
    for version in load_versions(connection, conditions, brief=brief, curves=with_curves):
        versions[version.adapter].append(version)
    return {
        row.name: AdapterView.of(row.name, row.base, versions[row.name], aliases_of(versions[row.name]), row.created_at)
        for row in connection.execute(query)
    }


def aliases_of(versions: list[Version]) -> Mapping[str, int]:
    """Which number each alias names."""
    return {alias: version.number for version in versions for alias in version.aliases}


def read_summaries(connection: Connection) -> tuple[Adapter, ...]:
    """All adapters with counts in place of their versions."""
    ready = VERSIONS.c.state == State.READY.value
    counts: dict[int, tuple[int, int | None]] = {}
    grouped = select(VERSIONS.c.adapter_id, func.count(), func.max(VERSIONS.c.number).filter(ready)).group_by(
        VERSIONS.c.adapter_id
    )
    for adapter_id, count, latest in connection.execute(grouped):
        counts[adapter_id] = count, latest
    ranks: dict[int, list[int]] = defaultdict(list)
    distinct = select(VERSIONS.c.adapter_id, VERSIONS.c.rank).where(ready).distinct().order_by(VERSIONS.c.rank)
    for adapter_id, rank in connection.execute(distinct):
        ranks[adapter_id].append(rank)
    aliases: dict[int, dict[str, int]] = defaultdict(dict)
    pointing = select(ALIASES.c.adapter_id, ALIASES.c.name, VERSIONS.c.number)
    pointing = pointing.join_from(ALIASES, VERSIONS, VERSIONS.c.id == ALIASES.c.version_id)
    for adapter_id, alias, number in connection.execute(pointing.order_by(ALIASES.c.name)):
        aliases[adapter_id][alias] = number
    return tuple(
        # Not validated: the catalog's own rows, and a list need not wait for pydantic to build its validators.
        Adapter.model_construct(
            name=row.name,
            base=row.base,
            versions=counts.get(row.id, (0, None))[0],
            latest=counts.get(row.id, (0, None))[1],
            ranks=tuple(ranks[row.id]),
            aliases=aliases[row.id],
            created_at=row.created_at,
        )
        for row in connection.execute(_adapters_with_base())
    )


@cache
def _adapters_with_base() -> Select[Any]:
    query = select(ADAPTERS.c.id, ADAPTERS.c.name, ADAPTERS.c.created_at, BASES.c.name.label("base"))
    return query.join_from(ADAPTERS, BASES, BASES.c.id == ADAPTERS.c.base_id).order_by(ADAPTERS.c.name)


@cache
def _picking(by: str) -> Select[Any]:
    """The statement for what a selector of that kind may name (one where it is clear)."""
    of_adapter = version_query().where(ADAPTERS.c.name == bindparam("name"))
    newest = of_adapter.where(VERSIONS.c.state == State.READY.value).order_by(VERSIONS.c.number.desc()).limit(1)
    match by:
        case "number":
            return of_adapter.where(VERSIONS.c.number == bindparam("number"))
        case "alias":
            its = (ALIASES.c.adapter_id == ADAPTERS.c.id, ALIASES.c.name == bindparam("alias"))
            named = select(ALIASES.c.version_id).where(*its).correlate(ADAPTERS).scalar_subquery()
            return of_adapter.where(VERSIONS.c.id == named)
        case "digest":
            # A range, not LIKE: it uses the index. Two are enough to know that it is not one.
            its = (VERSIONS.c.digest >= bindparam("start"), VERSIONS.c.digest < bindparam("end"))
            return of_adapter.where(*its).limit(2)
        case "rank":
            return newest.where(VERSIONS.c.rank == bindparam("rank"))
        case _:
            return newest


def _selected(reference: Reference) -> tuple[str, dict[str, Any]]:
    """The kind of the reference's selector and its parameters."""
    match reference.selector:
        case ByNumber(number):
            return "number", {"number": min(number, LARGEST)}
        case ByAlias(alias):
            return "alias", {"alias": alias}
        case Latest():
            return "latest", {}
        case ByRank(rank):
            return "rank", {"rank": rank}
        case ByDigest(prefix):
            return "digest", {"start": f"sha256:{prefix}", "end": f"sha256:{prefix}g"}
