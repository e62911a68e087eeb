"""The log of events: every write leaves at least one, in its own transaction."""

from typing import Any

from sqlalchemy import Connection, Row, func, insert, select

from lorarack.registry.catalog.connection import now
from lorarack.registry.catalog.dialect import inserted_id
from lorarack.registry.catalog.rows import LARGEST
from lorarack.registry.catalog.schema import EVENTS
from lorarack.registry.values import Event


def record(
    connection: Connection,
    actor: str,
    kind: str,
    adapter: str | None = None,
    version: int | None = None,
    **detail: Any,
) -> Event:
    """Add an event."""
    row = {
        "at": now(connection),
        "actor": actor,
        "kind": kind,
        "adapter": adapter,
        "version": version,
        "detail": detail,
    }
    return Event(cursor=inserted_id(connection.execute(insert(EVENTS), row)), **row)


def last_event_id(connection: Connection) -> int:
    """The cursor of the newest event, or 0."""
    return int(connection.scalar(select(func.max(EVENTS.c.id))) or 0)


def read_events(connection: Connection, after: int, limit: int, adapter: str | None) -> tuple[Event, ...]:
    """The first ``limit`` events (of one adapter) behind cursor ``after``."""
    query = select(EVENTS).where(EVENTS.c.id > min(max(after, 0), LARGEST))
    if adapter is not None:
        query = query.where(EVENTS.c.adapter == adapter)
    found = connection.execute(query.order_by(EVENTS.c.id).limit(min(limit, LARGEST)))
    return tuple(event_value(row) for row in found)


def event_value(row: Row[Any]) -> Event:
    """An event (a row of ``EVENTS``); the row's id is its cursor."""
    return Event(
        cursor=row.id,
        at=row.at,
        actor=row.actor,
        kind=row.kind,
        adapter=row.adapter,
        version=row.version,
        detail=row.detail,
    )
