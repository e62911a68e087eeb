"""What holds a version: nothing that an alias, a lease, a child or a retention rule holds can be deleted."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from lorarack.registry.catalog.tables import AdapterRow, AliasRow, LeaseRow, ParentRow, VersionRow


@dataclass(frozen=True, slots=True)
class Hold:
    """One reason why a version stays; ``sentence`` completes "it is …"."""

    kind: str
    sentence: str


def holds(
    session: Session, adapter: AdapterRow, row: VersionRow, moment: datetime, without: Collection[int] = ()
) -> tuple[Hold, ...]:
    """Everything that holds the version at ``moment``; children whose ids are in ``without`` do not count."""
    return (
        *_aliases(session, adapter, row),
        *_leases(session, row, moment),
        *_children(session, row, without),
        *_retention(session, adapter, row, moment),
    )


def _aliases(session: Session, adapter: AdapterRow, row: VersionRow) -> list[Hold]:
    names = session.scalars(select(AliasRow.name).where(AliasRow.version_id == row.id).order_by(AliasRow.name)).all()
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


def _leases(session: Session, row: VersionRow, moment: datetime) -> list[Hold]:
    query = select(LeaseRow).where(LeaseRow.version_id == row.id, LeaseRow.until > moment).order_by(LeaseRow.holder)
    return [
        Hold(
            "lease",
            f"in use by {lease.holder} until {lease.until:%Y-%m-%d %H:%M:%S} UTC at least; stop that, or archive the version",
        )
        for lease in session.scalars(query)
    ]


def _children(session: Session, row: VersionRow, without: Collection[int]) -> list[Hold]:
    query = (
        select(VersionRow.id, AdapterRow.name, VersionRow.number)
        .join(VersionRow, VersionRow.adapter_id == AdapterRow.id)
        .join(ParentRow, ParentRow.child_id == VersionRow.id)
        .where(ParentRow.parent_id == row.id)
        .order_by(VersionRow.id)
    )
    found = [f"{name}@{number}" for child, name, number in session.execute(query) if child not in without]
    listed = ", ".join(found)
    return [Hold("child", f"the parent of {listed}; delete that first")] if listed else []


def _retention(session: Session, adapter: AdapterRow, row: VersionRow, moment: datetime) -> list[Hold]:
    found = []
    rule = f"change the rule with 'lorarack retention {adapter.name}'"
    if adapter.keep_days is not None and row.created_at > moment - timedelta(days=adapter.keep_days):
        found.append(Hold("retention", f"younger than {adapter.keep_days} days, which {adapter.name!r} keeps; {rule}"))
    if adapter.keep_last is not None:
        newer = select(func.count()).where(VersionRow.adapter_id == adapter.id, VersionRow.number > row.number)
        if (session.scalar(newer) or 0) < adapter.keep_last:
            found.append(
                Hold("retention", f"among the newest {adapter.keep_last}, which {adapter.name!r} keeps; {rule}")
            )
    return found
