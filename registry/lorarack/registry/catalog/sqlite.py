"""A catalog in one SQLite file."""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event

from lorarack.registry.catalog.connection import BUSY, DAMAGED, FAILED, FULL, Clock, Database, utc_now, writes
from lorarack.registry.catalog.network_fs import refuse_network
from lorarack.registry.disk import disk_errors
from lorarack.registry.errors import StoreError

#: How long SQLite waits for other programs that write.
_PATIENCE_SECONDS = 20.0
#: Pages that each connection keeps, at most; a search reads a column of every version, and SQLite's 2 MB hold few of 100,000.
_CACHE_KIB = 32 * 1024

#: What SQLite says, as patterns. "disk I/O error" also when the log's index cannot grow.
_SAYS = {
    "locked": BUSY,
    "full": FULL,
    "disk I/O error": "The disk of the {it} is full or failing; free some space or replace it, and try again.",
    "readonly|unable to open": "The {it} cannot be written or opened; change its permissions or give another folder.",
    "malformed|not a database": DAMAGED,
}


class SqliteDatabase(Database):
    """One file on a local disk, made where there is none."""

    def __init__(self, path: Path, clock: Clock = utc_now) -> None:
        refuse_network(path.parent)
        with disk_errors():
            path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        engine = _engine(path)
        super().__init__(engine, engine, f"registry {str(path)!r}", clock, path.parent.resolve())
        self._opened = self._file()

    def _begin(self, connection: Connection) -> None:
        """Of two transactions that read first and write later, both would hold a read lock and one would fail without waiting
        (https://sqlite.org/lang_transaction.html).
        """
        driver: Any = connection.connection.driver_connection
        driver.execute("BEGIN IMMEDIATE" if writes(connection) else "BEGIN")

    def _sentence(self, error: BaseException, said: str) -> str:
        return next((sentence for words, sentence in _SAYS.items() if re.search(words, said)), FAILED)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait until it is our turn to write.

        The kernel keeps the queue, of threads and processes alike: who waits does nothing, holds no connection that a reader could
        need, and does not starve, which of many writers some do at SQLite's own lock. A file of its own: closing another handle of
        the database would drop SQLite's locks on it (https://sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled).
        """
        handle = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            fcntl.flock(handle, fcntl.LOCK_UN)  # a process forked meanwhile has the handle too
            os.close(handle)

    def _decide_earlier_writes(self) -> None:
        """Write something.

        A writer that was killed within its commit can leave a whole transaction in the log that no connection knows of, and that
        SQLite's recovery brings back later, unless another write has taken its place there
        (https://sqlite.org/walformat.html#recovery).
        """
        with self.writer.begin() as connection:
            count = int(connection.exec_driver_sql("PRAGMA user_version").scalar() or 0)
            connection.exec_driver_sql(f"PRAGMA user_version = {(count + 1) % 2**31}")

    def _check_there(self) -> None:
        """Open connections stay on a file that was deleted or replaced, and would go on reading and writing it."""
        found = self._file()
        if found != self._opened:
            self.engine.dispose()
            self._migrate_if_needed()
            self._opened = found

    def _file(self) -> tuple[int, int]:
        """Which file the path names now.

        Raises:
            StoreError: none. SQLite would make an empty one there.
        """
        try:
            found = self.path.stat()
        except OSError as error:
            raise StoreError(
                f"The registry {str(self.path)!r} is gone ({error.strerror}); bring it back from a copy.",
                code="catalog_gone",
            ) from error
        return found.st_dev, found.st_ino


def _engine(path: Path) -> Engine:
    # Built, not written as text, in which a '?' or '%' of the path would mean something else.
    address = URL.create("sqlite", database=str(path))
    engine = create_engine(address, connect_args={"timeout": _PATIENCE_SECONDS})

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions are ours: sqlite3 would begin them late and deferred
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")  # an acknowledged version survives a power cut
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
        cursor.close()

    return engine
