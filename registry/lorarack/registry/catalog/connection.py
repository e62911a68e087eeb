"""A database that holds a catalog: transactions for reading and writing, the schema's version, and its errors in our words."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeAlias, TypeVar

from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from lorarack.registry.catalog.dialect import WRITES, begin, error_sentence
from lorarack.registry.disk import disk_errors
from lorarack.registry.errors import StoreError

#: The newest migration of each kind of database (catalog/migrations); a test compares it with alembic's own idea of the head.
SCHEMA = "0011"

#: Tells this moment, with its zone.
Clock: TypeAlias = Callable[[], datetime]

_MIGRATIONS = Path(__file__).parent / "migrations"
T = TypeVar("T")
P = ParamSpec("P")


def utc_now() -> datetime:
    """This moment by this machine's clock, in UTC."""
    return datetime.now(UTC)


class Database(ABC):
    """Reads see one moment and wait for nobody; writes take turns. Threads may share it."""

    def __init__(self, reader: Engine, writer: Engine, named: str, clock: Clock, home: Path | None = None) -> None:
        """``named``: what errors call it, without secrets. ``home``: the folder that it lies in (see ``home_of``)."""
        options = {"lorarack_home": home, "lorarack_clock": clock}
        self.engine = reader.execution_options(**options)
        self.writer = writer.execution_options(**options, **WRITES)
        self._named = named
        for engine in {reader, writer}:
            event.listen(engine, "begin", begin)
        try:
            self._migrate_if_needed()
        except BaseException:
            self.close()
            raise

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection for reading: all that it reads is of one moment."""
        self._check_there()
        with self._errors(), self.engine.connect() as connection:
            yield connection

    def read(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What ``work`` finds, of one moment.

        Raises:
            StoreError: the database is damaged or away.
        """
        with self.reading() as connection:
            return work(connection, *args, **kwargs)

    def write(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``work`` in one write transaction: it is done as a whole, or it has never been.

        Raises:
            StoreError: the database is damaged, full, read-only or away, or a program that is not lorarack writes it for too long.
        """
        self._check_there()
        with self._errors(), disk_errors(), self._turn(), self.writer.begin() as connection:
            return work(connection, *args, **kwargs)

    def alone(self, work: Callable[[], T]) -> T:
        """Run ``work``, which writes nothing here, while nobody else can write and every earlier write is decided for good.

        Raises:
            StoreError: as ``write``.
        """
        self._check_there()
        with self._errors(), disk_errors(), self._turn():
            self._decide_earlier_writes()
            with self.writer.begin():
                return work()

    def close(self) -> None:
        """Close all connections; a later call opens them again."""
        self.engine.dispose()
        self.writer.dispose()

    @abstractmethod
    def _turn(self) -> AbstractContextManager[object]:
        """Wait, without a connection that a reader could need, until it is our turn to write."""

    @abstractmethod
    def _decide_earlier_writes(self) -> None:
        """Make sure that no killed writer's transaction can still appear."""

    @abstractmethod
    def _check_there(self) -> None:
        """Make sure that open connections are to the database that is there now. Raises ``StoreError``: there is none."""

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Translate the database's errors into ``StoreError`` with one sentence."""
        try:
            yield
        except (DBAPIError, self.engine.dialect.loaded_dbapi.Error) as error:
            raise StoreError(error_sentence(error, self._named)) from error
        except PoolTimeoutError as error:
            raise StoreError(f"Too many threads use the {self._named} at once; try again.") from error

    def _migrate_if_needed(self) -> None:
        found = self._schema()
        if found == SCHEMA:
            return
        folder = _MIGRATIONS / self.engine.dialect.name
        if found is not None and not list(folder.glob(f"{found}_*.py")):
            raise StoreError(
                f"The {self._named} has schema {found}, newer than this lorarack's {SCHEMA}; upgrade lorarack.",
                code="schema_too_new",
            )
        from lorarack.registry.catalog.migrate import upgrade

        with self._errors(), disk_errors(), self._turn():
            upgrade(self.writer)

    def _schema(self) -> str | None:
        with self._errors(), self.engine.connect() as connection:
            if not connection.dialect.has_table(connection, "alembic_version"):
                return None
            found = connection.scalar(text("SELECT version_num FROM alembic_version"))
            return str(found) if found else None


def now(connection: Connection) -> datetime:
    """This moment, by the catalog's clock."""
    clock: Clock = connection.get_execution_options()["lorarack_clock"]
    return clock()


def home_of(connection: Connection) -> Path | None:
    """The folder that the database lies in, without links, where it lies in one; folders inside are stored relative to it."""
    home: Path | None = connection.get_execution_options().get("lorarack_home")
    return home
