"""Opening the catalog's database: settings that SQLite needs, the schema's version, and transactions that retry."""

import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError, OperationalError

from lorarack.registry.catalog.mounts import refuse_network
from lorarack.registry.catalog.prepared import read_json
from lorarack.registry.disk import disk_errors
from lorarack.registry.errors import StoreError

#: The newest migration (catalog/migrations/versions); a test compares it with alembic's own idea of the head.
SCHEMA = "0006"

_BUSY_MILLISECONDS = 5000
#: Pages that each connection keeps, at most. A search looks at a thousand versions, each on a page of its own; SQLite's 2 MB hold
#: half of them, and the others would be read anew for each search.
_CACHE_KIB = 32 * 1024
_TRIES = 3
#: How long one try waits for its turn.
_PATIENCE_SECONDS = 20
#: Who had to wait for the lock is not alone, and pauses after its commit, so that it does not take the lock again at once.
_CONTENDED_SECONDS = 0.001
T = TypeVar("T")


class Database:
    """One SQLite file. Reads see one snapshot; writes take the lock at their start and retry while it is taken."""

    def __init__(self, path: Path) -> None:
        refuse_network(path.parent)
        with disk_errors():
            path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.engine = _engine(path)
        self.writer = self.engine.execution_options(lorarack_write=True)
        self._migrate_if_needed()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection for reading: all that it reads is of one moment."""
        with database_errors(self.path), self.engine.connect() as connection:
            yield connection

    def write(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in one write transaction; it may run again when the lock was taken, so it must only use its connection.

        Raises:
            StoreError: the database stays locked, is damaged, full or read-only.
        """
        for attempt in range(_TRIES):
            try:
                with self.writer.connect() as connection:
                    asked = time.monotonic()
                    transaction = connection.begin()
                    waited = time.monotonic() - asked
                    result = work(connection)
                    transaction.commit()
                if waited > _CONTENDED_SECONDS:
                    time.sleep(random.uniform(0.002, 0.008))  # noqa: S311  (jitter, not a secret)
                return result
            except OperationalError as error:
                if not _is_locked(error) or attempt == _TRIES - 1:
                    with database_errors(self.path):
                        raise
                time.sleep(random.uniform(0.005, 0.02) * (attempt + 1))  # noqa: S311  (jitter, not a secret)
            except DatabaseError:
                with database_errors(self.path):
                    raise
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def _migrate_if_needed(self) -> None:
        found = self._schema()
        if found == SCHEMA:
            return
        if found is not None and found > SCHEMA:
            raise StoreError(
                f"The registry {str(self.path)!r} has schema {found}, newer than this lorarack's {SCHEMA}; upgrade lorarack.",
                code="schema_too_new",
            )
        from lorarack.registry.catalog.migrate import upgrade

        with database_errors(self.path):
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
    engine = create_engine(address, json_deserializer=read_json, connect_args={"timeout": _BUSY_MILLISECONDS / 1000})

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions are ours: sqlite3 would begin them late and deferred
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")  # an acknowledged version survives a power cut
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute(f"PRAGMA busy_timeout={_BUSY_MILLISECONDS}")
        cursor.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        # A writer takes the lock at once: of two transactions that read first and write later, both would hold a read
        # lock and one would fail without waiting (https://sqlite.org/lang_transaction.html).
        writes = connection.get_execution_options().get("lorarack_write", False)
        if not writes:
            connection.connection.driver_connection.execute("BEGIN")
        elif not _begin_in_turn(connection.connection.driver_connection):
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # now SQLite may wait, or say what is wrong

    return engine


def _begin_in_turn(connection: sqlite3.Connection) -> bool:
    """Take the write lock, as one of many: whoever has waited longer looks more often. Whether it was to be had.

    SQLite's own waiting does the opposite: its pauses grow to 100 ms, so that newcomers take the lock from those who wait. Of
    sixteen writers in a tight loop one then got it once in ten seconds.
    """
    started = time.monotonic()
    connection.execute("PRAGMA busy_timeout=0")
    try:
        while (waited := time.monotonic() - started) < _PATIENCE_SECONDS:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if "locked" not in str(error):
                    return False
            else:
                return True
            time.sleep(random.uniform(0.0005, 0.005) / (1 + waited))  # noqa: S311  (jitter, not a secret)
        return False
    finally:
        connection.execute(f"PRAGMA busy_timeout={_BUSY_MILLISECONDS}")


def _is_locked(error: OperationalError) -> bool:
    return "locked" in str(error.orig) or "busy" in str(error.orig)


@contextmanager
def database_errors(path: Path) -> Iterator[None]:
    """Translate the database's errors into ``StoreError`` with one sentence."""
    try:
        yield
    except (DatabaseError, sqlite3.Error) as error:
        said = str(error.orig if isinstance(error, DatabaseError) else error)
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
        elif "tokenizer" in said or "fts5" in said:
            sentence = (
                "A registry needs SQLite 3.34 or newer with full-text search (FTS5), "
                f"and this Python comes with {sqlite3.sqlite_version}; use another Python."
            )
        else:
            sentence = f"The registry {str(path)!r} failed: {said}."
        raise StoreError(sentence) from error
