"""Who descends from whom, found a generation at a time: as many queries as there are generations."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Row, select

from lorarack.registry.catalog.connection import is_listed
from lorarack.registry.catalog.schema import ADAPTERS, PARENTS, VERSIONS
from lorarack.registry.queries import Link


def read_lineage(connection: Connection, version_id: int) -> tuple[tuple[Link, ...], tuple[Link, ...]]:
    """The links to all ancestors and to all descendants of a version, each once, the nearest first."""
    return (
        tuple(_links(connection, version_id, PARENTS.c.child_id, "parent_id")),
        tuple(_links(connection, version_id, PARENTS.c.parent_id, "child_id")),
    )


def _links(connection: Connection, start: int, near: Any, far: str) -> Iterator[Link]:
    seen, generation = {start}, [start]
    while generation:
        found = list(_next(connection, near, generation))
        yield from (link for _, link in found)
        # A version that two of a generation lead to is asked once; links are never a circle: parents are older.
        generation = sorted({getattr(row, far) for row, _ in found} - seen)
        seen.update(generation)


def _next(connection: Connection, near: Any, generation: Sequence[int]) -> Iterator[tuple[Row[Any], Link]]:
    child, parent = VERSIONS.alias("child"), VERSIONS.alias("parent")
    of_child, of_parent = ADAPTERS.alias("of_child"), ADAPTERS.alias("of_parent")
    joined = PARENTS.join(child, child.c.id == PARENTS.c.child_id).join(of_child, of_child.c.id == child.c.adapter_id)
    joined = joined.join(parent, parent.c.id == PARENTS.c.parent_id)
    joined = joined.join(of_parent, of_parent.c.id == parent.c.adapter_id)
    query = select(PARENTS, of_child.c.name, child.c.number, of_parent.c.name, parent.c.number).select_from(joined)
    query = query.order_by(PARENTS.c.child_id, PARENTS.c.parent_id)
    for row in connection.execute(query.where(is_listed(near, generation))):
        names = row[-4:]
        yield row, Link(child=f"{names[0]}@{names[1]}", parent=f"{names[2]}@{names[3]}", relation=row.relation)
