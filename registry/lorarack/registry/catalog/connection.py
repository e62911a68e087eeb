"""Opening the catalog's database: settings that SQLite needs, the schema's version, and transactions."""

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError

from lorarack.registry.catalog.network_fs import refuse_network
from lorarack.registry.disk import disk_errors
from lorarack.registry.errors import StoreError

#: The newest migration (catalog/migrations/versions); a test compares it with alembic's own idea of the head.
SCHEMA = "0009"

#: How long SQLite waits for other programs that write.
_PATIENCE_SECONDS = 20.0
_MIGRATIONS = Path(__file__).parent / "migrations" / "versions"
#: Pages that each connection keeps, at most; a search reads a column of every version, and SQLite's 2 MB hold few of 100,000.
_CACHE_KIB = 32 * 1024
T = TypeVar("T")


class Database:
    """One SQLite file. Reads see one moment and wait for nobody; writes take turns."""

    def __init__(self, path: Path) -> None:
        refuse_network(path.parent)
        with disk_errors():
            path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.engine = _engine(path)
        self.writer = self.engine.execution_options(lorarack_write=True)
        self._migrate_if_needed()
        self._opened = self._file()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection for reading: all that it reads is of one moment."""
        self._reopen_if_replaced()
        with database_errors(self.path), self.engine.connect() as connection:
            yield connection

    def write(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in one write transaction.

        Raises:
            StoreError: the database is damaged, full or read-only, or a program that is not lorarack writes it for too long.
        """
        self._reopen_if_replaced()
        with database_errors(self.path), disk_errors(), self._turn(), self.writer.begin() as connection:
            return work(connection)

    def alone(self, work: Callable[[], T]) -> T:
        """Run ``work``, which writes nothing here, while nobody else can write and every earlier write is decided for good.

        A writer that was killed within its commit can leave a whole transaction in the log that no connection knows of, and that
        SQLite's recovery brings back later, unless another write has taken its place there
        (https://sqlite.org/walformat.html#recovery). So something is written first.

        Raises:
            StoreError: as ``write``.
        """
        self._reopen_if_replaced()
        with database_errors(self.path), disk_errors(), self._turn():
            with self.writer.begin() as connection:
                count = int(connection.exec_driver_sql("PRAGMA user_version").scalar() or 0)
                connection.exec_driver_sql(f"PRAGMA user_version = {(count + 1) % 2**31}")
            with self.writer.begin():
                return work()

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

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def _reopen_if_replaced(self) -> None:
        """Open connections keep a file that was deleted or replaced, and would read and write it for ever."""
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

    def _migrate_if_needed(self) -> None:
        found = self._schema()
        if found == SCHEMA:
            return
        if found is not None and not list(_MIGRATIONS.glob(f"{found}_*.py")):
            raise StoreError(
                f"The registry {str(self.path)!r} has schema {found}, newer than this lorarack's {SCHEMA}; upgrade lorarack.",
                code="schema_too_new",
            )
        from lorarack.registry.catalog.migrate import upgrade

        with database_errors(self.path), disk_errors(), self._turn():
            upgrade(self.writer)

    def _schema(self) -> str | None:
        with database_errors(self.path), self.engine.connect() as connection:
            known = connection.exec_driver_sql("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").first()
            if known is None:
                return None
            row = connection.exec_driver_sql("SELECT version_num FROM alembic_version").first()
            return str(row[0]) if row else None


def home_of(connection: Connection) -> Path:
    """The folder that the catalog lies in, without links."""
    return Path(connection.engine.url.database or ".").parent.resolve()


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

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        # A writer takes the lock at once: of two transactions that read first and write later, both would hold a read
        # lock and one would fail without waiting (https://sqlite.org/lang_transaction.html).
        writes = connection.get_execution_options().get("lorarack_write", False)
        connection.connection.driver_connection.execute("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


@contextmanager
def database_errors(path: Path) -> Iterator[None]:
    """Translate the database's errors into ``StoreError`` with one sentence."""
    try:
        yield
    except (DatabaseError, sqlite3.Error) as error:
        said = str(error.orig if isinstance(error, DatabaseError) else error)
        sentence = f"The registry {str(path)!r} failed: {said}."
        if "locked" in said:
            sentence = f"The registry {str(path)!r} is busy with other writers; try again."
        elif "full" in said:
            sentence = f"There is no space left for the registry {str(path)!r}; free some and try again."
        elif "disk I/O error" in said:  # also when the log's index cannot grow
            sentence = (
                f"The disk of the registry {str(path)!r} is full or failing; free some space or mend it, and try again."
            )
        elif "readonly" in said or "unable to open" in said:
            sentence = f"The registry {str(path)!r} cannot be written or opened; change its permissions or give another folder."
        elif "malformed" in said or "not a database" in said:
            sentence = f"The registry {str(path)!r} is damaged; restore it from a copy."
        raise StoreError(sentence) from error
