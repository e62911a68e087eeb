"""A catalog in a PostgreSQL database. Nothing opens one yet but the tests of ``interface.Catalog``."""

import threading
from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy import create_engine, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from lorarack.registry.catalog.connection import Clock, Database, utc_now
from lorarack.registry.errors import UsageError

_CONNECT_SECONDS = 10


class PostgresDatabase(Database):
    """A database of its own, or a schema that comes first in the connection's search path; tables are made where there are none.

    A read is one transaction in REPEATABLE READ, so it sees one moment. A write is in READ COMMITTED, so that it sees all that
    was committed before it got the writers' lock (``dialect.begin``), and not only what was when it began to wait.
    """

    def __init__(self, address: str, clock: Clock = utc_now) -> None:
        """``address``: postgresql://USER@HOST/DATABASE."""
        try:
            url = make_url(address).set(drivername="postgresql+psycopg")
            options: Any = {"connect_args": {"connect_timeout": _CONNECT_SECONDS}, "pool_pre_ping": True}
            reader = create_engine(url, **options, isolation_level="REPEATABLE READ")
            writer = create_engine(url, **options, pool_size=1)
        except (ArgumentError, NoSuchModuleError, ValueError) as error:  # it may name a password, so it is not repeated
            raise UsageError("The address of the database is none; write postgresql://USER@HOST/DATABASE.") from error
        self._one_writer = threading.Lock()
        super().__init__(reader, writer, f"registry {url.database!r} on {url.host or 'this machine'}", clock)

    def _turn(self) -> AbstractContextManager[object]:
        """One thread of this process: the others wait here, without a connection, and the one waits in PostgreSQL's queue."""
        return self._one_writer

    def _decide_earlier_writes(self) -> None:
        """Nothing to do: PostgreSQL keeps a killed writer's lock until its transaction has ended, one way or the other."""

    def _check_there(self) -> None:
        """Nothing to do: the pool tries each connection before it is used."""
