"""The log of events: every write leaves at least one, in its own transaction."""

from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Insert, Select, bindparam, insert, select

from lorarack.registry.catalog.dialect import inserted_id
from lorarack.registry.catalog.rows import ADAPTER, VERSION, AdapterRow, VersionRow
from lorarack.registry.catalog.schema import ADAPTERS, EVENTS, VERSIONS
from lorarack.registry.clock import Clock
from lorarack.registry.errors import NotFound


@cache
def _new_event() -> Insert:
    return insert(EVENTS)


@cache
def _by_name_and_number() -> Select[Any]:
    query = select(*ADAPTER, *VERSION).join_from(ADAPTERS, VERSIONS, VERSIONS.c.adapter_id == ADAPTERS.c.id)
    return query.where(ADAPTERS.c.name == bindparam("name"), VERSIONS.c.number == bindparam("number"))


def record(
    connection: Connection, actor: str, kind: str, adapter: str | None = None, version: int | None = None, **detail: Any
) -> int:
    """Add an event; its cursor."""
    return record_at(connection, now(connection), actor, kind, adapter, version, detail)


def find_version(connection: Connection, adapter: str, number: int) -> tuple[AdapterRow, VersionRow]:
    """The rows of one version.

    Raises:
        NotFound: no such version.
    """
    wanted = {"name": adapter, "number": number}
    found = connection.execute(_by_name_and_number(), wanted).first() if 0 < number < 2**63 else None
    if found is None:
        raise NotFound(f"There is no version {adapter}@{number}.", code="unknown_reference")
    return AdapterRow(*found[: len(ADAPTER)]), VersionRow(*found[len(ADAPTER) :])


def record_at(
    connection: Connection,
    at: datetime,
    actor: str,
    kind: str,
    adapter: str | None,
    version: int | None,
    detail: dict[str, Any],
) -> int:
    """Add an event of that moment; its cursor."""
    row = {"at": at, "actor": actor, "kind": kind, "adapter": adapter, "version": version, "detail": detail}
    return inserted_id(connection.execute(_new_event(), row))


def now(connection: Connection) -> datetime:
    """This moment, by the catalog's clock."""
    clock: Clock = connection.get_execution_options()["lorarack_clock"]
    return clock()
