"""A catalog in a PostgreSQL database. Nothing opens one yet but the tests of ``interface.Catalog``."""

import threading
from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy import Connection, create_engine, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from lorarack.registry.catalog.connection import BUSY, DAMAGED, FAILED, FULL, Clock, Database, utc_now, writes
from lorarack.registry.errors import UsageError

_CONNECT_SECONDS = 10
#: The advisory lock of writers, the same number in every release.
_WRITERS = 0x6C6F72617261636B

_REFUSED = "The {it} may not be written or read: {said}; have its owner grant that."
_UNREACHABLE = "The {it} cannot be reached: {said}; check that its server runs, and the address."
#: https://www.postgresql.org/docs/current/errcodes-appendix.html
_STATES = {
    "55P03": BUSY, "57014": BUSY, "40001": BUSY, "40P01": BUSY,
    "53100": FULL,
    "53300": "The server of the {it} has no connection left; try again, or raise its max_connections.",
    "25006": "The {it} is read-only: {said}; give the address of the server that may be written.",
    "42501": _REFUSED, "28000": _REFUSED, "28P01": _REFUSED,
    "57P01": _UNREACHABLE, "57P02": _UNREACHABLE, "57P03": _UNREACHABLE, "3D000": _UNREACHABLE,
    "XX001": DAMAGED, "XX002": DAMAGED,
}  # fmt: skip


class PostgresDatabase(Database):
    """A database of its own, or a schema that comes first in the connection's search path; tables are made where there are none.

    A read is one transaction in REPEATABLE READ, so it sees one moment. A write is in READ COMMITTED, so that it sees all that
    was committed before it got the writers' lock (``_begin``), and not only what was when it began to wait.
    """

    def __init__(self, address: str, clock: Clock = utc_now) -> None:
        """``address``: postgresql://USER@HOST/DATABASE."""
        try:
            url = make_url(address).set(drivername="postgresql+psycopg")
            options: Any = {"connect_args": {"connect_timeout": _CONNECT_SECONDS}, "pool_pre_ping": True}
            reader = create_engine(url, **options, isolation_level="REPEATABLE READ")
            writer = create_engine(url, **options, pool_size=1)
        except (ArgumentError, NoSuchModuleError, ValueError) as error:  # it may name a password, so it is not repeated
            raise UsageError("This is not a database address; write postgresql://USER@HOST/DATABASE.") from error
        self._one_writer = threading.Lock()
        super().__init__(reader, writer, f"registry {url.database!r} on {url.host or 'this machine'}", clock)

    def _begin(self, connection: Connection) -> None:
        """The driver begins; the lock goes with the transaction."""
        if writes(connection):
            driver: Any = connection.connection.driver_connection
            driver.execute(f"SELECT pg_advisory_xact_lock({_WRITERS})")

    def _sentence(self, error: BaseException, said: str) -> str:
        state = getattr(error, "sqlstate", None)  # none where there is no connection, or no longer one
        return _STATES.get(state, FAILED) if state else _UNREACHABLE

    def _turn(self) -> AbstractContextManager[object]:
        """One thread of this process: the others wait here, without a connection, and the one waits in PostgreSQL's queue."""
        return self._one_writer

    def _decide_earlier_writes(self) -> None:
        """Nothing to do: PostgreSQL keeps a killed writer's lock until its transaction has ended, one way or the other."""

    def _check_there(self) -> None:
        """Nothing to do: the pool tries each connection before it is used."""
