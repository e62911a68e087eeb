"""Versions with everything that other tables hold of them.

Plain rows, not mapped objects, and statements that are built once: a snapshot loads a hundred thousand versions, and one
version is looked up for every command.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from operator import itemgetter
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, bindparam, literal, null, select, union_all

from lorarack.registry.catalog.schema import ADAPTERS, ALIASES, BASES, METRICS, PARENTS, TAGS, VERSIONS
from lorarack.registry.values import Version

#: How many ids go into one statement; databases limit that.
_AT_ONCE = 500

Conditions = Sequence[ColumnElement[bool]]

_METRIC = ("name", "split", "value", "step", "dataset", "higher_is_better")


@cache
def version_query(*, brief: bool = False) -> Select[Any]:
    """Versions under the names of their value's fields, to be narrowed by conditions on versions and adapters; ``brief``: without
    their provenance."""
    own = [column for column in VERSIONS.c if column.name not in ("id", "adapter_id", "provenance")]
    names = (
        VERSIONS.c.id.label("engine_id"),
        ADAPTERS.c.name.label("adapter"),
        BASES.c.name.label("base"),
        BASES.c.fingerprint.label("base_fingerprint"),
    )
    owned = VERSIONS.join(ADAPTERS, ADAPTERS.c.id == VERSIONS.c.adapter_id)
    query = select(*names, *own, *([] if brief else [VERSIONS.c.provenance]))
    return query.select_from(owned.join(BASES, BASES.c.id == ADAPTERS.c.base_id))


@cache
def _belongings(*, of_all: bool, metrics: bool, curves: bool = True) -> Any:
    """One statement for what other tables hold of versions (of all, or of those with the given ids): a line for each thing,
    with the kind of thing, the version's id, the thing's place among its like, and up to six values."""
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
    given: Any = bindparam("ids", expanding=True)
    return union_all(*(part if of_all else part.where(owner.in_(given)) for part, owner in parts))


def load_versions(
    connection: Connection, conditions: Conditions = (), *, brief: bool = False, curves: bool = True
) -> Iterator[Version]:
    """The versions that meet all ``conditions`` (on columns of versions and adapters), in the order of their ids.

    ``brief``: without their metrics and provenance, which are most of what there is to load. ``curves``: with the points of
    their metrics' curves.
    """
    query = version_query(brief=brief).where(*conditions).order_by(VERSIONS.c.id)
    rows = connection.execute(query).mappings()
    if conditions:
        yield from with_belongings(connection, rows.all(), brief=brief, curves=curves)
        return
    has = _collect(connection.execute(_belongings(of_all=True, metrics=not brief)))
    for row in rows:
        yield Version.model_validate({**row, **has[row["engine_id"]]})


def load_by_ids(connection: Connection, ids: Sequence[int], *, curves: bool = True) -> list[Version]:
    """These versions, in the order of ``ids``; ids that are gone are left out."""
    rows = connection.execute(version_query().where(VERSIONS.c.id.in_(ids))).mappings().all()
    found = {version.engine_id: version for version in with_belongings(connection, rows, curves=curves)}
    return [found[number] for number in ids if number in found]


def with_belongings(
    connection: Connection, rows: Sequence[Mapping[Any, Any]], *, brief: bool = False, curves: bool = True
) -> Iterator[Version]:
    """The versions of ``rows``, which are those of a query made of ``version_query``."""
    query = _belongings(of_all=False, metrics=not brief, curves=curves)
    for start in range(0, len(rows), _AT_ONCE):
        some = rows[start : start + _AT_ONCE]
        has = _collect(connection.execute(query, {"ids": [row["engine_id"] for row in some]}))
        for row in some:
            yield Version.model_validate({**row, **has[row["engine_id"]]})


def _collect(lines: Any) -> defaultdict[int, dict[str, Any]]:
    """By version, its belongings under the names of a version's fields."""
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
