"""What differs between SQLite and PostgreSQL. All other SQL of the catalog is SQLAlchemy's Core, which means the same to both."""

import re
import sqlite3
from collections.abc import Collection
from functools import cache
from typing import Any

from sqlalchemy import JSON, ColumnElement, Connection, Integer, String, Table, Text, bindparam, cast, literal, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

#: Marks connections that write, among an engine's execution options.
WRITES = {"lorarack_write": True}
#: The advisory lock of writers, the same number in every release.
_WRITERS = 0x6C6F72617261636B


def begin(connection: Connection) -> None:
    """Begin a transaction; one that writes waits here until no other does.

    SQLite: of two transactions that read first and write later, both would hold a read lock and one would fail without waiting
    (https://sqlite.org/lang_transaction.html). PostgreSQL: its driver begins; the lock goes with the transaction.
    """
    writes = connection.get_execution_options().get("lorarack_write", False)
    driver: Any = connection.connection.driver_connection
    if connection.dialect.name == "sqlite":
        driver.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
    elif writes:
        driver.execute(f"SELECT pg_advisory_xact_lock({_WRITERS})")


def put(connection: Connection, table: Table, *rows: dict[str, Any]) -> None:
    """Add whole rows, or change those that have their primary keys."""
    if rows:
        connection.execute(_upsert(connection.dialect.name, table), list(rows))


def is_listed(column: ColumnElement[Any], values: Collection[Any] | None = None) -> ColumnElement[bool]:
    """The condition that the column is one of ``values``, or of those that are bound as ``listed``.

    One parameter, however many there are; databases limit the number of parameters.
    """
    bound = bindparam("listed", type_=JSON) if values is None else literal(list(values), JSON)
    its = _Elements(bound).table_valued("value").c.value
    return column.in_(select(cast(its, Text if isinstance(column.type, String) else column.type)))


def contains(column: ColumnElement[str], text: str) -> ColumnElement[bool]:
    """The condition that ``text`` occurs in the column, character by character."""
    return _Position(column, literal(text)) > 0


def inserted_id(result: Any) -> int:
    """The id that the database gave to the one row that was inserted."""
    return int(result.inserted_primary_key[0])


def error_sentence(error: Exception, registry: str) -> str:
    """One sentence about what a database said of ``registry``; without statements and parameters, which may hold secrets."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    said = str(cause).strip().partition("\n")[0].rstrip(".")
    if isinstance(cause, sqlite3.Error):
        found = next((sentence for words, sentence in _SQLITE_SAYS.items() if re.search(words, said)), _FAILED)
    else:
        state = getattr(cause, "sqlstate", None)  # none where there is no connection, or no longer one
        found = _POSTGRESQL_STATES.get(state, _FAILED) if state else _UNREACHABLE
    return found.format(it=registry, said=said)


@cache
def _upsert(dialect: str, table: Table) -> Any:
    if dialect == "sqlite":
        from sqlalchemy.dialects.sqlite import insert
    else:
        from sqlalchemy.dialects.postgresql import insert  # type: ignore[assignment]
    adding = insert(table)
    keys = [column.name for column in table.primary_key]
    rest = {column.name: adding.excluded[column.name] for column in table.c if not column.primary_key}
    return adding.on_conflict_do_update(index_elements=keys, set_=rest)


class _Elements(FunctionElement[Any]):
    """The elements of a JSON array as rows."""

    inherit_cache = True


class _Position(FunctionElement[int]):
    """Where the second text begins in the first, counted from 1, or 0."""

    type = Integer()
    inherit_cache = True


def _spell(element: type[FunctionElement[Any]], dialect: str, name: str) -> None:
    compiles(element, dialect)(lambda found, compiler, **more: f"{name}({compiler.process(found.clauses, **more)})")


_spell(_Elements, "sqlite", "json_each")
_spell(_Elements, "postgresql", "json_array_elements_text")
_spell(_Position, "sqlite", "instr")
_spell(_Position, "postgresql", "strpos")

_BUSY = "The {it} is busy with other writers; try again."
_FULL = "There is no space left for the {it}; free some and try again."
_READ_ONLY = "The {it} cannot be written or opened; change its permissions or give another folder."
_DAMAGED = "The {it} is damaged; restore it from a copy."
_REFUSED = "The {it} may not be written or read: {said}; have its owner grant that."
_UNREACHABLE = "The {it} cannot be reached: {said}; check that its server runs, and the address."
_FAILED = "The {it} failed: {said}."

#: What SQLite says, as patterns. "disk I/O error" also when the log's index cannot grow.
_SQLITE_SAYS = {
    "locked": _BUSY,
    "full": _FULL,
    "disk I/O error": "The disk of the {it} is full or failing; free some space or replace it, and try again.",
    "readonly|unable to open": _READ_ONLY,
    "malformed|not a database": _DAMAGED,
}
#: https://www.postgresql.org/docs/current/errcodes-appendix.html
_POSTGRESQL_STATES = {
    "55P03": _BUSY, "57014": _BUSY, "40001": _BUSY, "40P01": _BUSY,
    "53100": _FULL,
    "53300": "The server of the {it} has no connection left; try again, or raise its max_connections.",
    "25006": "The {it} is read-only: {said}; give the address of the server that may be written.",
    "42501": _REFUSED, "28000": _REFUSED, "28P01": _REFUSED,
    "57P01": _UNREACHABLE, "57P02": _UNREACHABLE, "57P03": _UNREACHABLE, "3D000": _UNREACHABLE,
    "XX001": _DAMAGED, "XX002": _DAMAGED,
}  # fmt: skip
