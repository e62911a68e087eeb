"""Who descends from whom, found a generation at a time: as many queries as there are generations."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from lorarack.registry.catalog.database import Database
from lorarack.registry.catalog.tables import AdapterRow, ParentRow, VersionRow
from lorarack.registry.queries import Link

#: SQLite takes a limited number of variables in one statement.
_AT_ONCE = 500


def read_lineage(database: Database, version_id: int) -> tuple[tuple[Link, ...], tuple[Link, ...]]:
    """The links to all ancestors and to all descendants of a version, each once, the nearest first."""
    with database.reading() as session:
        return (
            tuple(_links(session, version_id, ParentRow.child_id, "parent_id")),
            tuple(_links(session, version_id, ParentRow.parent_id, "child_id")),
        )


def _links(session: Session, start: int, near: Any, far: str) -> Iterator[Link]:
    seen, generation = {start}, [start]
    while generation:
        found = list(_next(session, near, generation))
        yield from (link for _, link in found)
        # A version that two of a generation lead to is asked once; links are never a circle: parents are older.
        generation = sorted({getattr(row, far) for row, _ in found} - seen)
        seen.update(generation)


def _next(session: Session, near: Any, generation: Sequence[int]) -> Iterator[tuple[ParentRow, Link]]:
    child, parent = aliased(VersionRow), aliased(VersionRow)
    of_child, of_parent = aliased(AdapterRow), aliased(AdapterRow)
    query = select(ParentRow, of_child.name, child.number, of_parent.name, parent.number)
    query = query.join(child, child.id == ParentRow.child_id).join(of_child, of_child.id == child.adapter_id)
    query = query.join(parent, parent.id == ParentRow.parent_id).join(of_parent, of_parent.id == parent.adapter_id)
    query = query.order_by(ParentRow.child_id, ParentRow.parent_id)
    for start in range(0, len(generation), _AT_ONCE):
        for row, *names in session.execute(query.where(near.in_(generation[start : start + _AT_ONCE]))):
            yield row, Link(child=f"{names[0]}@{names[1]}", parent=f"{names[2]}@{names[3]}", relation=row.relation)
