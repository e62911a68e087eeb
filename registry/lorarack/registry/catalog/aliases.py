"""Where aliases point, and moving them."""

from functools import cache
from typing import Any

from sqlalchemy import Connection, Select, bindparam, select

from lorarack.registry.catalog.events import find_version, now, record_at
from lorarack.registry.catalog.row_values import alias_value
from lorarack.registry.catalog.rows import AdapterRow, VersionRow, put
from lorarack.registry.catalog.schema import ALIASES, EVENTS, VERSIONS
from lorarack.registry.errors import Conflict
from lorarack.registry.values import Alias, State


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
    """Point an alias at a version if it names ``expect`` now (None: whatever it names; 0: nothing yet).

    Raises:
        NotFound: no such version.
        Conflict: the version is not ready, or the alias does not name ``expect`` now.
    """
    owner, row = find_version(connection, adapter, number)
    if row.state != State.READY:
        raise Conflict(f"{adapter}@{number} is {row.state}; an alias can only name a ready version.", code="not_ready")
    now_at = connection.execute(_pointing(), {"adapter_id": owner.id, "name": alias}).first()
    there: int | None = now_at.there if now_at else None
    if expect is not None and there != (expect or None):
        stands = f"names version {there}" if there else "does not exist"
        wanted = f", not version {expect}" if expect else " already"
        raise Conflict(f"{adapter}@{alias} {stands}{wanted}; look again and decide.", code="stale_expect")
    if now_at and there == number and reason in (None, now_at.detail["reason"]):
        return alias_value(now_at)  # pointing there again for another reason would confirm it
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
    moment = now(connection)
    detail = {"alias": alias, "previous": previous, "reason": reason, "forced": forced, "rollback": rollback}
    event = record_at(connection, moment, actor, "alias_moved", adapter.name, to.number, detail)
    put(connection, ALIASES, {"adapter_id": adapter.id, "name": alias, "version_id": to.id, "event_id": event})
    return Alias(
        adapter=adapter.name,
        name=alias,
        version=to.number,
        previous=previous,
        moved_at=moment,
        actor=actor,
        reason=reason,
        forced=forced,
        rollback=rollback,
    )


@cache
def _pointing() -> Select[Any]:
    query = select(EVENTS, VERSIONS.c.number.label("there"))
    query = query.join_from(ALIASES, VERSIONS, VERSIONS.c.id == ALIASES.c.version_id)
    query = query.join(EVENTS, EVENTS.c.id == ALIASES.c.event_id)
    return query.where(ALIASES.c.adapter_id == bindparam("adapter_id"), ALIASES.c.name == bindparam("name"))
