"""The log of events, of which every write leaves at least one in its own transaction; and the aliases: where one points is what its
last event says.
"""

from functools import cache
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, func, insert, select

from lorarack.registry.catalog.connection import inserted_id, now, put
from lorarack.registry.catalog.rows import LARGEST, AdapterRow, VersionRow, find_version
from lorarack.registry.catalog.running_experiments import check_no_experiment
from lorarack.registry.catalog.schema import ALIASES, EVENTS, VERSIONS
from lorarack.registry.errors import Conflict
from lorarack.registry.values import Alias, Event, State


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
    return tuple(_event_value(row) for row in found)


def read_aliases(connection: Connection, adapter: str | None) -> tuple[Alias, ...]:
    """Where the aliases (of one adapter) point now, by adapter and name."""
    query = select(EVENTS).join_from(ALIASES, EVENTS, ALIASES.c.event_id == EVENTS.c.id)
    if adapter is not None:
        query = query.where(EVENTS.c.adapter == adapter)
    found = (_alias_value(row) for row in connection.execute(query))
    return tuple(sorted(found, key=lambda alias: (alias.adapter, alias.name)))


def read_alias_moves(connection: Connection, adapter: str, alias: str | None) -> tuple[Alias, ...]:
    """Every move of the adapter's aliases (or of one), oldest first."""
    query = select(EVENTS).where(EVENTS.c.adapter == adapter, EVENTS.c.kind == "alias_moved").order_by(EVENTS.c.id)
    moves = (_alias_value(row) for row in connection.execute(query))
    return tuple(move for move in moves if alias is None or move.name == alias)


def keep_record(connection: Connection, actor: str, adapter: str, number: int, record_: dict[str, Any]) -> None:
    """Keep a serving record. Raises ``NotFound``."""
    find_version(connection, adapter, number)
    record(connection, actor, "served", adapter, number, **record_)


def last_record(connection: Connection, adapter: str, number: int) -> dict[str, Any] | None:
    """The newest serving record of a version."""
    its = (EVENTS.c.adapter == adapter, EVENTS.c.kind == "served", EVENTS.c.version == number)
    found = connection.scalar(select(EVENTS.c.detail).where(*its).order_by(EVENTS.c.id.desc()).limit(1))
    return dict(found) if found is not None else None


def set_alias(
    connection: Connection,
    actor: str,
    adapter: str,
    alias: str,
    number: int,
    expect: int | None,
    reason: str | None,
    *,
    forced: bool,
    rollback: bool,
) -> Alias:
    """Point an alias at a version if it names ``expect`` now (None: any; 0: it does not exist yet).

    Where it names that version already, the move is recorded only if it gives another reason.

    Raises:
        NotFound: no such version.
        Conflict: the version is not ready, the alias does not name ``expect`` now, or an experiment runs on it.
    """
    owner, row = find_version(connection, adapter, number)
    if row.state != State.READY:
        raise Conflict(f"{adapter}@{number} is {row.state}; an alias can only name a ready version.", code="not_ready")
    now_at = _last_move(connection, owner.id, alias)
    there: int | None = now_at.there if now_at else None
    if expect is not None and there != (expect or None):
        found = f"names version {there}" if there else "does not exist"
        wanted = f", not version {expect}" if expect else " already"
        raise Conflict(f"{adapter}@{alias} {found}{wanted}; check it and retry.", code="stale_expect")
    if now_at and there == number and reason in (None, now_at.detail["reason"]):
        return _alias_value(now_at)
    check_no_experiment(connection, owner.id, adapter, alias)
    return move_alias(connection, actor, owner, alias, row, there, reason, forced=forced, rollback=rollback)


def move_alias(
    connection: Connection,
    actor: str,
    adapter: AdapterRow,
    alias: str,
    to: VersionRow,
    previous: int | None,
    reason: str | None,
    *,
    forced: bool = False,
    rollback: bool = False,
) -> Alias:
    """Point ``alias`` at a version of ``adapter``; the alias as it is then."""
    detail = {"alias": alias, "previous": previous, "reason": reason, "forced": forced, "rollback": rollback}
    event = record(connection, actor, "alias_moved", adapter.name, to.number, **detail)
    row = {"adapter_id": adapter.id, "name": alias, "version_id": to.id, "event_id": event.cursor}
    put(connection, ALIASES, row)
    return Alias.after(event)


def _last_move(connection: Connection, adapter_id: int, alias: str) -> Row[Any] | None:
    """The event that moved the alias to where it is, and the number of the version ``there``."""
    return connection.execute(_last_moves(), {"owner_id": adapter_id, "alias": alias}).first()


@cache
def _last_moves() -> Select[Any]:
    query = select(EVENTS, VERSIONS.c.number.label("there"))
    query = query.join_from(ALIASES, VERSIONS, VERSIONS.c.id == ALIASES.c.version_id)
    query = query.join(EVENTS, EVENTS.c.id == ALIASES.c.event_id)
    return query.where(ALIASES.c.adapter_id == bindparam("owner_id"), ALIASES.c.name == bindparam("alias"))


def _alias_value(row: Row[Any]) -> Alias:
    return Alias.after(_event_value(row))


def _event_value(row: Row[Any]) -> Event:
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
