"""Reading versions and adapters, with everything that other tables hold of them.

Plain rows, not mapped objects, and statements that are built once: a snapshot loads a hundred thousand versions, and one
version is looked up for every command.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from operator import itemgetter
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Text, bindparam, cast, func, literal, null, select, union_all

from lorarack.registry.artifact.manifest import WEIGHTS
from lorarack.registry.catalog.connection import is_listed
from lorarack.registry.catalog.rows import LARGEST, OWNED
from lorarack.registry.catalog.schema import ADAPTERS, ALIASES, BASES, METRICS, PARENTS, TAGS, VERSIONS
from lorarack.registry.reference import ByAlias, ByDigest, ByNumber, ByRank, Latest, Reference
from lorarack.registry.values import Adapter, State, StoredFile, Version
from lorarack.registry.view import AdapterView

#: How many versions are read at once: what other tables hold of them need not be in memory for all.
_AT_ONCE = 500

Conditions = Sequence[ColumnElement[bool]]

_METRIC = ("name", "split", "value", "step", "dataset", "higher_is_better")


def find_version(connection: Connection, reference: Reference, *, with_curves: bool = False) -> Version | None:
    """The version that a reference names, by one indexed look; None when there is none or not exactly one."""
    statement = _matching(type(reference.selector))  # type: ignore[arg-type]  # mypy: a type is hashable
    rows = connection.execute(statement, _parameters(reference)).mappings().all()
    if len(rows) != 1:
        return None
    has = _load_belongings(connection, [rows[0]["engine_id"]], metrics=True, curves=with_curves)
    return Version.model_validate({**rows[0], **has[rows[0]["engine_id"]]})


def same_weights(
    connection: Connection, adapter: str, files: Iterable[StoredFile]
) -> list[tuple[str, tuple[StoredFile, ...]]]:
    """Digest and files of each version of ``adapter`` that has the weight file among ``files``."""
    weights = next(file for file in files if file.name == WEIGHTS)
    given = {"adapter_name": adapter, "size": weights.bytes, "weights": f"%{weights.digest}%"}
    rows = connection.execute(_same_weights(), given).all()
    return [(digest, tuple(StoredFile.model_validate(file) for file in stored)) for digest, stored in rows]


@cache
def _same_weights() -> Select[Any]:
    query = select(VERSIONS.c.digest, VERSIONS.c.files).select_from(OWNED)
    its = (ADAPTERS.c.name == bindparam("adapter_name"), VERSIONS.c.bytes == bindparam("size"))
    return query.where(*its, cast(VERSIONS.c.files, Text).like(bindparam("weights")))  # a digest has no wildcard


def adapter_names(connection: Connection) -> tuple[str, ...]:
    """Names of all adapters."""
    return tuple(connection.scalars(select(ADAPTERS.c.name).order_by(ADAPTERS.c.name)))


def has_adapter(connection: Connection, name: str) -> bool:
    """Whether there is an adapter of that name."""
    return connection.scalar(select(ADAPTERS.c.id).where(ADAPTERS.c.name == name)) is not None


def read_views(
    connection: Connection, name: str | None = None, *, brief: bool = False, with_curves: bool = False
) -> dict[str, AdapterView]:
    """All adapters (or the one called ``name``) as ``connection`` sees them, by name."""
    conditions: list[ColumnElement[bool]] = [ADAPTERS.c.name == name] if name is not None else []
    versions: dict[str, list[Version]] = defaultdict(list)
    for version in load_versions(connection, conditions, brief=brief, curves=with_curves):
        versions[version.adapter].append(version)
    return {
        row.name: AdapterView.of(
            row.name, row.base, versions[row.name], _aliases_of(versions[row.name]), row.created_at
        )
        for row in connection.execute(_adapters_with_base().where(*conditions))
    }


def read_adapters(connection: Connection) -> tuple[Adapter, ...]:
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


def load_versions(
    connection: Connection, conditions: Conditions = (), *, brief: bool = False, curves: bool = True
) -> Iterator[Version]:
    """The versions that meet all ``conditions`` (on columns of versions and adapters), in the order of their ids.

    ``brief``: without their metrics and provenance, which are most of what there is to load. ``curves``: with the points of
    their metrics' curves.
    """
    ids = connection.scalars(select(VERSIONS.c.id).select_from(OWNED).where(*conditions).order_by(VERSIONS.c.id)).all()
    for start in range(0, len(ids), _AT_ONCE):
        yield from load_by_ids(connection, ids[start : start + _AT_ONCE], brief=brief, curves=curves)


def load_by_ids(
    connection: Connection, ids: Sequence[int], *, brief: bool = False, curves: bool = True
) -> Iterator[Version]:
    """These versions, in the order of their ids; ids that are gone are left out."""
    # Belongings first: rows that wait for theirs would keep Python's garbage collector busy.
    has = _load_belongings(connection, ids, metrics=not brief, curves=curves)
    for row in connection.execute(_by_ids(brief=brief), {"listed": list(ids)}).mappings():
        yield Version.model_validate({**row, **has[row["engine_id"]]})


def _aliases_of(versions: list[Version]) -> Mapping[str, int]:
    return {alias: version.number for version in versions for alias in version.aliases}


def _adapters_with_base() -> Select[Any]:
    query = select(ADAPTERS.c.id, ADAPTERS.c.name, ADAPTERS.c.created_at, BASES.c.name.label("base"))
    return query.join_from(ADAPTERS, BASES, BASES.c.id == ADAPTERS.c.base_id).order_by(ADAPTERS.c.name)


@cache
def _matching(selector: type[object]) -> Select[Any]:
    """The statement for what a selector of that type may name: one row where that is clear."""
    query = _version_query().where(ADAPTERS.c.name == bindparam("adapter_name"))
    newest = query.where(VERSIONS.c.state == State.READY.value).order_by(VERSIONS.c.number.desc()).limit(1)
    if selector is ByNumber:
        return query.where(VERSIONS.c.number == bindparam("selected"))
    if selector is ByAlias:
        its = (ALIASES.c.adapter_id == ADAPTERS.c.id, ALIASES.c.name == bindparam("selected"))
        named = select(ALIASES.c.version_id).where(*its).correlate(ADAPTERS).scalar_subquery()
        return query.where(VERSIONS.c.id == named)
    if selector is ByDigest:
        # A range, not LIKE: it uses the index. Two are enough to know that it is not one.
        return query.where(VERSIONS.c.digest >= bindparam("selected"), VERSIONS.c.digest < bindparam("end")).limit(2)
    return newest.where(VERSIONS.c.rank == bindparam("selected")) if selector is ByRank else newest


def _parameters(reference: Reference) -> dict[str, Any]:
    """What the statement's parameters are for ``reference``."""
    match reference.selector:
        case ByNumber(number):
            given: dict[str, Any] = {"selected": min(number, LARGEST)}
        case ByAlias(selected) | ByRank(selected):
            given = {"selected": selected}
        case ByDigest(prefix):
            given = {"selected": f"sha256:{prefix}", "end": f"sha256:{prefix}g"}
        case Latest():
            given = {}
    return {"adapter_name": reference.name, **given}


@cache
def _version_query(*, brief: bool = False) -> Select[Any]:
    """Versions under the names of their value's fields, to be narrowed by conditions on versions and adapters; ``brief``: without
    their provenance."""
    own = [column for column in VERSIONS.c if column.name not in ("id", "adapter_id", "provenance")]
    names = (
        VERSIONS.c.id.label("engine_id"),
        ADAPTERS.c.name.label("adapter"),
        BASES.c.name.label("base"),
        BASES.c.fingerprint.label("base_fingerprint"),
    )
    query = select(*names, *own, *([] if brief else [VERSIONS.c.provenance]))
    return query.select_from(OWNED.join(BASES, BASES.c.id == ADAPTERS.c.base_id))


@cache
def _belongings(*, metrics: bool, curves: bool) -> Any:
    """One statement for what other tables hold of the versions with the ids ``listed``: a line for each thing, with the kind of
    thing, the version's id, the thing's place among its like, and up to six values."""
    owners, older = ADAPTERS.alias("owners"), VERSIONS.alias("older")
    tags, aliases, parents, finals = (table.c for table in (TAGS, ALIASES, PARENTS, METRICS))
    none = (null(), null(), null(), null())
    metric = select(literal("metric").label("kind"), finals.version_id, finals.id, *(finals[name] for name in _METRIC))
    if not metrics:
        metric = metric.where(literal(False))
    elif not curves:
        metric = metric.where(finals.step.is_(None))
    child = select(
        literal("parent"), parents.child_id, parents.parent_id,
        owners.c.name, parents.relation, null(), older.c.number, null(), null(),
    )  # fmt: skip
    above = older.join(owners, owners.c.id == older.c.adapter_id)
    parts = (
        (metric, finals.version_id),  # the first one gives the columns their types
        (select(literal("tag"), tags.version_id, literal(0), tags.key, tags.value, *none), tags.version_id),
        (select(literal("alias"), aliases.version_id, literal(0), aliases.name, null(), *none), aliases.version_id),
        (child.select_from(PARENTS.join(above, older.c.id == parents.parent_id)), parents.child_id),
    )
    return union_all(*(part.where(is_listed(owner)) for part, owner in parts))


@cache
def _by_ids(*, brief: bool) -> Select[Any]:
    return _version_query(brief=brief).where(is_listed(VERSIONS.c.id)).order_by(VERSIONS.c.id)


def _load_belongings(
    connection: Connection, ids: Sequence[int], *, metrics: bool, curves: bool
) -> defaultdict[int, dict[str, Any]]:
    """By version, its belongings under the names of a version's fields."""
    return _collect(connection.execute(_belongings(metrics=metrics, curves=curves), {"listed": list(ids)}))


def _collect(lines: Any) -> defaultdict[int, dict[str, Any]]:
    has: defaultdict[int, dict[str, Any]] = defaultdict(dict)
    for kind, version, _, first, second, *rest in sorted(lines, key=itemgetter(2)):
        mine = has[version]
        match kind:
            case "tag":
                mine.setdefault("tags", {})[first] = second
            case "alias":
                mine.setdefault("aliases", []).append(first)
            case "parent":
                mine.setdefault("parents", []).append({"version": f"{first}@{rest[1]}", "relation": second})
            case _:
                value, step, dataset, higher = rest
                mine.setdefault("metrics", []).append({
                    "name": first, "split": second, "value": value, "step": step, "dataset": dataset, "higher_is_better": higher,
                })  # fmt: skip
    for mine in has.values():
        if len(mine.get("aliases", ())) > 1:
            mine["aliases"].sort()
    return has
