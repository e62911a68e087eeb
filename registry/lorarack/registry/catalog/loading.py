"""Versions with everything that other tables hold of them, in one query a table.

Plain rows, not mapped objects: a snapshot loads a hundred thousand of them.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from lorarack.registry.catalog.tables import AdapterRow, AliasRow, BaseRow, MetricRow, ParentRow, TagRow, VersionRow
from lorarack.registry.values import Version

Conditions = Sequence[ColumnElement[bool]]

#: SQLite takes a limited number of variables in one statement.
_AT_ONCE = 500

_VERSIONS: Any = VersionRow.__table__
_ADAPTERS: Any = AdapterRow.__table__
_BASES: Any = BaseRow.__table__
_METRICS: Any = MetricRow.__table__
_TAGS: Any = TagRow.__table__
_PARENTS: Any = ParentRow.__table__
_ALIASES: Any = AliasRow.__table__
_OLDER = _VERSIONS.alias("older")
_OWNERS = _ADAPTERS.alias("owners")

_OWNED = _VERSIONS.join(_ADAPTERS, _ADAPTERS.c.id == _VERSIONS.c.adapter_id)
_NAMES = (_VERSIONS.c.id.label("engine_id"), _ADAPTERS.c.name.label("adapter"))
_OF_BASE = (_BASES.c.name.label("base"), _BASES.c.fingerprint.label("base_fingerprint"))
_OWN = [column for column in _VERSIONS.c if column.name not in ("id", "adapter_id", "provenance")]
_BRIEF = select(*_NAMES, *_OF_BASE, *_OWN).select_from(_OWNED.join(_BASES, _BASES.c.id == _ADAPTERS.c.base_id))
_WHOLE = _BRIEF.add_columns(_VERSIONS.c.provenance)
_METRIC = ("name", "split", "value", "step", "dataset", "higher_is_better")


def load_versions(
    session: Session, conditions: Conditions = (), *, brief: bool = False, curves: bool = True
) -> Iterator[Version]:
    """The versions that meet all ``conditions`` (on columns of versions and adapters), in the order of their ids.

    ``brief``: without their metrics and provenance, which are most of what there is to load. ``curves``: with the points of
    their metrics' curves.
    """
    has = _belongings(session, conditions)
    if not brief:
        _add_metrics(session, conditions, curves, has)
    query = (_BRIEF if brief else _WHOLE).where(*conditions).order_by(_VERSIONS.c.id)
    for row in session.execute(query).mappings():
        yield Version.model_validate({**row, **has[row["engine_id"]]})


def load_by_ids(session: Session, ids: Sequence[int], *, curves: bool = True) -> list[Version]:
    """These versions, in the order of ``ids``; ids that are gone are left out."""
    found: dict[int, Version] = {}
    for start in range(0, len(ids), _AT_ONCE):
        chosen = VersionRow.id.in_(ids[start : start + _AT_ONCE])
        found.update((version.engine_id, version) for version in load_versions(session, [chosen], curves=curves))
    return [found[number] for number in ids if number in found]


Belongings = defaultdict[int, dict[str, Any]]


def _belongings(session: Session, conditions: Conditions) -> Belongings:
    """By id, what other tables hold of versions, under the names of a version's fields."""
    has: Belongings = defaultdict(dict)
    for version, key, value in session.execute(
        _of([_TAGS.c.version_id, _TAGS.c.key, _TAGS.c.value], _TAGS, conditions)
    ):
        has[version].setdefault("tags", {})[key] = value
    query = _of([_ALIASES.c.version_id, _ALIASES.c.name], _ALIASES, conditions).order_by(_ALIASES.c.name)
    for version, name in session.execute(query):
        has[version].setdefault("aliases", []).append(name)
    _add_parents(session, conditions, has)
    return has


def _add_metrics(session: Session, conditions: Conditions, curves: bool, has: Belongings) -> None:
    query = _of([_METRICS.c.version_id, *(_METRICS.c[name] for name in _METRIC)], _METRICS, conditions)
    if not curves:
        query = query.where(_METRICS.c.step.is_(None))
    for version, *metric in session.execute(query.order_by(_METRICS.c.id)):
        has[version].setdefault("metrics", []).append(dict(zip(_METRIC, metric, strict=True)))


def _add_parents(session: Session, conditions: Conditions, has: Belongings) -> None:
    columns = [_PARENTS.c.child_id, _PARENTS.c.relation, _OWNERS.c.name, _OLDER.c.number]
    query = _of(columns, _PARENTS, conditions).order_by(_PARENTS.c.parent_id)
    for child, relation, name, number in session.execute(query):
        has[child].setdefault("parents", []).append({"version": f"{name}@{number}", "relation": relation})


def _of(columns: list[Any], table: Any, conditions: Conditions) -> Any:
    """Rows of ``table`` that belong to the versions that meet ``conditions``."""
    owned = table.c.child_id if table is _PARENTS else table.c.version_id
    source = table.join(_VERSIONS, _VERSIONS.c.id == owned).join(_ADAPTERS, _ADAPTERS.c.id == _VERSIONS.c.adapter_id)
    if not conditions:
        source = table
    if table is _PARENTS:
        source = source.join(_OLDER, _OLDER.c.id == _PARENTS.c.parent_id)
        source = source.join(_OWNERS, _OWNERS.c.id == _OLDER.c.adapter_id)
    return select(*columns).select_from(source).where(*conditions)
