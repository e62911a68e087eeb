"""What the catalog's own code reads of a row, by name and with types, and small writes that several modules share."""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Table

from lorarack.registry.catalog.dialect import upsert
from lorarack.registry.catalog.schema import ADAPTERS, VERSIONS


class AdapterRow(NamedTuple):
    """An adapter; ``id`` is 0 while it is not in the table yet."""

    id: int
    name: str
    base_id: int
    next_number: int
    keep_last: int | None = None
    keep_days: int | None = None


class VersionRow(NamedTuple):
    """A version."""

    id: int
    adapter_id: int
    number: int
    digest: str
    state: str
    state_reason: str | None
    description: str | None
    created_at: datetime


#: The columns that make up each, in their order.
ADAPTER: tuple[ColumnElement[Any], ...] = tuple(ADAPTERS.c[name] for name in AdapterRow._fields)
VERSION: tuple[ColumnElement[Any], ...] = tuple(VERSIONS.c[name] for name in VersionRow._fields)


def put(connection: Connection, table: Table, *rows: dict[str, Any]) -> None:
    """Add whole rows, or change those that have their primary keys."""
    if rows:
        connection.execute(upsert(connection.dialect, table), list(rows))
