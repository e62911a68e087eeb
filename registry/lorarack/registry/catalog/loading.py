"""Versions with everything that other tables hold of them, in one query a table."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session, aliased

from lorarack.registry.catalog.mapping import Belongings, metric_value, version_value
from lorarack.registry.catalog.tables import AdapterRow, AliasRow, BaseRow, MetricRow, ParentRow, TagRow, VersionRow
from lorarack.registry.values import Parent, Version

Conditions = Sequence[ColumnElement[bool]]

#: SQLite takes a limited number of variables in one statement.
_AT_ONCE = 500


def load_versions(session: Session, conditions: Conditions = (), *, metrics: bool = True) -> Iterator[Version]:
    """The versions that meet all ``conditions`` (on columns of versions and adapters), in the order of their ids."""
    has = _belongings(session, conditions, metrics)
    query = select(VersionRow, AdapterRow.name, BaseRow).join(AdapterRow, AdapterRow.id == VersionRow.adapter_id)
    query = query.join(BaseRow, BaseRow.id == AdapterRow.base_id).where(*conditions).order_by(VersionRow.id)
    for row, adapter, base in session.execute(query):
        yield version_value(row, adapter, base, has[row.id])


def load_by_ids(session: Session, ids: Sequence[int], *, metrics: bool = True) -> list[Version]:
    """These versions, in the order of ``ids``; ids that are gone are left out."""
    found: dict[int, Version] = {}
    for start in range(0, len(ids), _AT_ONCE):
        chosen = VersionRow.id.in_(ids[start : start + _AT_ONCE])
        found.update((version.engine_id, version) for version in load_versions(session, [chosen], metrics=metrics))
    return [found[number] for number in ids if number in found]


def _belongings(session: Session, conditions: Conditions, metrics: bool) -> defaultdict[int, Belongings]:
    has: defaultdict[int, Belongings] = defaultdict(Belongings)
    for tag in session.scalars(_of(TagRow, TagRow.version_id, conditions)):
        has[tag.version_id].tags[tag.key] = tag.value
    for alias in session.scalars(_of(AliasRow, AliasRow.version_id, conditions)):
        has[alias.version_id].aliases.append(alias.name)
    _add_parents(session, conditions, has)
    if metrics:
        for row in session.scalars(_of(MetricRow, MetricRow.version_id, conditions).order_by(MetricRow.id)):
            has[row.version_id].metrics.append(metric_value(row))
    return has


def _add_parents(session: Session, conditions: Conditions, has: defaultdict[int, Belongings]) -> None:
    parent, owner = aliased(VersionRow), aliased(AdapterRow)
    query = _of(ParentRow, ParentRow.child_id, conditions).join(parent, parent.id == ParentRow.parent_id)
    query = query.join(owner, owner.id == parent.adapter_id).add_columns(owner.name, parent.number)
    for row, name, number in session.execute(query.order_by(ParentRow.parent_id)):
        has[row.child_id].parents.append(Parent(version=f"{name}@{number}", relation=row.relation))


def _of(rows: Any, version_id: Any, conditions: Conditions) -> Any:
    """Rows that belong to the versions that meet ``conditions``."""
    query = select(rows)
    if not conditions:
        return query
    query = query.join(VersionRow, VersionRow.id == version_id)
    return query.join(AdapterRow, AdapterRow.id == VersionRow.adapter_id).where(*conditions)
