"""Versions with everything that other tables hold of them.

Plain rows, not mapped objects, and statements that are built once: a snapshot loads a hundred thousand versions, and one
version is looked up for every command.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from operator import itemgetter
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, literal, null, select, union_all

from lorarack.registry.catalog.dialect import is_listed
from lorarack.registry.catalog.schema import ADAPTERS, ALIASES, BASES, METRICS, PARENTS, TAGS, VERSIONS
from lorarack.registry.values import Version

#: How many versions are read at once: what other tables hold of them need not be in memory for all.
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


def load_versions(
    connection: Connection, conditions: Conditions = (), *, brief: bool = False, curves: bool = True
) -> Iterator[Version]:
    """The versions that meet all ``conditions`` (on columns of versions and adapters), in the order of their ids.

    ``brief``: without their metrics and provenance, which are most of what there is to load. ``curves``: with the points of
    their metrics' curves.
    """
    owned = VERSIONS.join(ADAPTERS, ADAPTERS.c.id == VERSIONS.c.adapter_id)
    ids = connection.scalars(select(VERSIONS.c.id).select_from(owned).where(*conditions).order_by(VERSIONS.c.id)).all()
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


def with_belongings(connection: Connection, row: Mapping[Any, Any], *, curves: bool = True) -> Version:
    """The version of ``row``, which is of a query made of ``version_query``."""
    has = _load_belongings(connection, [row["engine_id"]], metrics=True, curves=curves)
    return Version.model_validate({**row, **has[row["engine_id"]]})


@cache
def _by_ids(*, brief: bool) -> Select[Any]:
    return version_query(brief=brief).where(is_listed(VERSIONS.c.id)).order_by(VERSIONS.c.id)


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
