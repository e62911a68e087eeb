"""What holds a version: nothing that an alias, a lease, a child or a retention rule holds can be deleted."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select

from lorarack.registry.catalog.rows import AdapterRow, VersionRow
from lorarack.registry.catalog.schema import ADAPTERS, ALIASES, LEASES, PARENTS, VERSIONS


@dataclass(frozen=True, slots=True)
class Hold:
    """One reason why a version stays; ``sentence`` completes "it is …"."""

    kind: str
    sentence: str


def holds(
    connection: Connection, adapter: AdapterRow, row: VersionRow, moment: datetime, without: Collection[int] = ()
) -> tuple[Hold, ...]:
    """Everything that holds the version at ``moment``; children whose ids are in ``without`` do not count."""
    return (
        *_aliases(connection, adapter, row),
        *_leases(connection, row, moment),
        *_children(connection, row, without),
        *_retention(connection, adapter, row, moment),
    )


def _aliases(connection: Connection, adapter: AdapterRow, row: VersionRow) -> list[Hold]:
    names = connection.scalars(
        select(ALIASES.c.name).where(ALIASES.c.version_id == row.id).order_by(ALIASES.c.name)
    ).all()
    listed = ", ".join(names)
    return (
        [
            Hold(
                "alias",
                f"named by alias {listed}; move it first with 'lorarack alias set {adapter.name}@{names[0]} VERSION'",
            )
        ]
        if names
        else []
    )


def _leases(connection: Connection, row: VersionRow, moment: datetime) -> list[Hold]:
    query = select(LEASES.c.holder, LEASES.c.until).where(LEASES.c.version_id == row.id, LEASES.c.until > moment)
    return [
        Hold(
            "lease",
            f"in use by {holder} until {until:%Y-%m-%d %H:%M:%S} UTC at least; stop that, or archive the version",
        )
        for holder, until in connection.execute(query.order_by(LEASES.c.holder))
    ]


def _children(connection: Connection, row: VersionRow, without: Collection[int]) -> list[Hold]:
    query = (
        select(VERSIONS.c.id, ADAPTERS.c.name, VERSIONS.c.number)
        .join_from(ADAPTERS, VERSIONS, VERSIONS.c.adapter_id == ADAPTERS.c.id)
        .join(PARENTS, PARENTS.c.child_id == VERSIONS.c.id)
        .where(PARENTS.c.parent_id == row.id)
        .order_by(VERSIONS.c.id)
    )
    found = [f"{name}@{number}" for child, name, number in connection.execute(query) if child not in without]
    listed = ", ".join(found)
    return [Hold("child", f"the parent of {listed}; delete that first")] if listed else []


def _retention(connection: Connection, adapter: AdapterRow, row: VersionRow, moment: datetime) -> list[Hold]:
    found = []
    rule = f"change the rule with 'lorarack retention {adapter.name}'"
    if adapter.keep_days is not None and row.created_at > moment - timedelta(days=adapter.keep_days):
        found.append(Hold("retention", f"younger than {adapter.keep_days} days, which {adapter.name!r} keeps; {rule}"))
    if adapter.keep_last is not None:
        newer = select(func.count(VERSIONS.c.id)).where(
            VERSIONS.c.adapter_id == adapter.id, VERSIONS.c.number > row.number
        )
        if (connection.scalar(newer) or 0) < adapter.keep_last:
            found.append(
                Hold("retention", f"among the newest {adapter.keep_last}, which {adapter.name!r} keeps; {rule}")
            )
    return found
