"""Versions with everything that other tables hold of them.

Plain rows, not mapped objects, and statements that are built once: a snapshot loads a hundred thousand versions, and one
version is looked up for every command.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import ColumnElement, bindparam, literal, null, select, union_all
from sqlalchemy.orm import Session

from lorarack.registry.catalog.tables import AdapterRow, AliasRow, BaseRow, MetricRow, ParentRow, TagRow, VersionRow
from lorarack.registry.values import Version

Conditions = Sequence[ColumnElement[bool]]

#: SQLite takes a limited number of variables in one statement; the compound below has each of them four times.
_AT_ONCE = 500

_VERSIONS: Any = VersionRow.__table__
_ADAPTERS: Any = AdapterRow.__table__
_BASES: Any = BaseRow.__table__
_OWN = [column for column in _VERSIONS.c if column.name not in ("id", "adapter_id", "provenance")]
_NAMES = (
    _VERSIONS.c.id.label("engine_id"),
    _ADAPTERS.c.name.label("adapter"),
    _BASES.c.name.label("base"),
    _BASES.c.fingerprint.label("base_fingerprint"),
)
_OWNED = _VERSIONS.join(_ADAPTERS, _ADAPTERS.c.id == _VERSIONS.c.adapter_id)
#: Versions without their provenance; with it. To be narrowed by conditions on versions and adapters.
_BRIEF = select(*_NAMES, *_OWN).select_from(_OWNED.join(_BASES, _BASES.c.id == _ADAPTERS.c.base_id))
WHOLE = _BRIEF.add_columns(_VERSIONS.c.provenance)

_METRIC = ("name", "split", "value", "step", "dataset", "higher_is_better")


def _belongings(*, of_all: bool, metrics: bool, curves: bool = True) -> Any:
    """One statement for what other tables hold of versions (of all, or of those with the given ids): a line for each thing,
    with the kind of thing, the version's id, the thing's place among its like, and up to six values."""
    owners, older = _ADAPTERS.alias("owners"), _VERSIONS.alias("older")
    tags, aliases, parents, finals = (row.__table__.c for row in (TagRow, AliasRow, ParentRow, MetricRow))
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
        (child.select_from(ParentRow.__table__.join(above, older.c.id == parents.parent_id)), parents.child_id),
    )
    ids: Any = bindparam("ids", expanding=True)
    return union_all(*(part if of_all else part.where(owner.in_(ids)) for part, owner in parts))


_OF_ALL = {brief: _belongings(of_all=True, metrics=not brief) for brief in (False, True)}
_OF_SOME = {
    (brief, curves): _belongings(of_all=False, metrics=not brief, curves=curves)
    for brief in (False, True)
    for curves in (False, True)
}


def load_versions(
    session: Session, conditions: Conditions = (), *, brief: bool = False, curves: bool = True
) -> Iterator[Version]:
    """The versions that meet all ``conditions`` (on columns of versions and adapters), in the order of their ids.

    ``brief``: without their metrics and provenance, which are most of what there is to load. ``curves``: with the points of
    their metrics' curves.
    """
    query = (_BRIEF if brief else WHOLE).where(*conditions).order_by(_VERSIONS.c.id)
    rows = session.connection().execute(query).mappings()
    if conditions:
        yield from with_belongings(session, rows.all(), brief=brief, curves=curves)
        return
    has = _collect(session.connection().execute(_OF_ALL[brief]))
    for row in rows:
        yield Version.model_validate({**row, **has[row["engine_id"]]})


def load_by_ids(session: Session, ids: Sequence[int], *, curves: bool = True) -> list[Version]:
    """These versions, in the order of ``ids``; ids that are gone are left out."""
    found: dict[int, Version] = {}
    for start in range(0, len(ids), _AT_ONCE):
        chosen = VersionRow.id.in_(ids[start : start + _AT_ONCE])
        found.update((version.engine_id, version) for version in load_versions(session, [chosen], curves=curves))
    return [found[number] for number in ids if number in found]


def with_belongings(
    session: Session, rows: Sequence[Any], *, brief: bool = False, curves: bool = True
) -> Iterator[Version]:
    """The versions of ``rows``, which are those of a query made of ``WHOLE``."""
    for start in range(0, len(rows), _AT_ONCE):
        some = rows[start : start + _AT_ONCE]
        ids = {"ids": [row["engine_id"] for row in some]}
        has = _collect(session.connection().execute(_OF_SOME[brief, curves], ids))
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
                mine.setdefault("metrics", []).append(dict(zip(_METRIC, (first, second, *rest), strict=True)))
    for mine in has.values():
        if len(mine.get("aliases", ())) > 1:
            mine["aliases"].sort()
    return has
