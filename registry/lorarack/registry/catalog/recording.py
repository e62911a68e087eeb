"""The log of events: every write leaves at least one, in its own transaction."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from lorarack.registry.catalog.tables import AdapterRow, AliasRow, EventRow, VersionRow
from lorarack.registry.errors import NotFound


def record(
    session: Session, actor: str, kind: str, adapter: str | None = None, version: int | None = None, **detail: Any
) -> int:
    """Add an event; its cursor."""
    row = EventRow(at=now(), actor=actor, kind=kind, adapter=adapter, version=version, detail=detail)
    session.add(row)
    session.flush()
    return row.id


def move_alias(
    session: Session,
    actor: str,
    adapter: AdapterRow,
    alias: str,
    to: VersionRow,
    previous: int | None,
    reason: str | None,
    *,
    forced: bool = False,
    rollback: bool = False,
) -> None:
    """Point ``alias`` at a version of ``adapter``."""
    event = record(
        session, actor, "alias_moved", adapter.name, to.number,
        alias=alias, previous=previous, reason=reason, forced=forced, rollback=rollback,
    )  # fmt: skip
    session.merge(AliasRow(adapter_id=adapter.id, name=alias, version_id=to.id, event_id=event))


def find_version(session: Session, adapter: str, number: int) -> tuple[AdapterRow, VersionRow]:
    """The rows of one version.

    Raises:
        NotFound: no such version.
    """
    query = (
        select(AdapterRow, VersionRow)
        .join(VersionRow, VersionRow.adapter_id == AdapterRow.id)
        .where(AdapterRow.name == adapter, VersionRow.number == number)
    )
    found = session.execute(query).first() if 0 < number < 2**63 else None
    if found is None:
        raise NotFound(f"There is no version {adapter}@{number}.", code="unknown_reference")
    owner, row = found
    return owner, row


def now() -> datetime:
    """This moment, in UTC."""
    return datetime.now(UTC)
