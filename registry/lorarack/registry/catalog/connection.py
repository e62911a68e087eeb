"""A database that holds a catalog: transactions, the schema's version, its errors in our words, and the SQL that each kind of
database spells otherwise. All other SQL of the catalog is SQLAlchemy's Core, which means the same to all.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeAlias, TypeVar

from sqlalchemy import (
    JSON,
    BigInteger,
    ColumnElement,
    Connection,
    DateTime,
    Dialect,
    Engine,
    Integer,
    String,
    Table,
    Text,
    TypeDecorator,
    bindparam,
    cast,
    event,
    literal,
    select,
    text,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from lorarack.registry.disk import disk_errors
from lorarack.registry.errors import StoreError

#: The newest migration of each kind of database (catalog/migrations); a test compares it with alembic's own idea of the head.
SCHEMA = "0012"

#: Tells this moment, with its zone.
Clock: TypeAlias = Callable[[], datetime]

#: What databases say of a registry, in our words.
BUSY = "The {it} is busy with other writers; try again."
FULL = "There is no space left for the {it}; free some and try again."
DAMAGED = "The {it} is damaged; restore it from a copy."
FAILED = "The {it} failed: {said}."

#: SQLite's own integers have 64 bits, and only ``INTEGER`` can be a key that counts up.
INTEGER = Integer().with_variant(BigInteger(), "postgresql")

_MIGRATIONS = Path(__file__).parent / "migrations"
T = TypeVar("T")
P = ParamSpec("P")


def utc_now() -> datetime:
    """This moment by this machine's clock, in UTC."""
    return datetime.now(UTC)


class Database(ABC):
    """A read sees one snapshot and never waits; writes take turns. Threads may share it."""

    def __init__(self, reader: Engine, writer: Engine, named: str, clock: Clock, home: Path | None = None) -> None:
        """``named``: what errors call it, without secrets. ``home``: the folder that it lies in (see ``home_of``)."""
        options = {"lorarack_home": home, "lorarack_clock": clock}
        self.engine = reader.execution_options(**options)
        self.writer = writer.execution_options(**options, lorarack_write=True)
        self._named = named
        for engine in {reader, writer}:
            event.listen(engine, "begin", self._begin)
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
        """Run ``work``, which writes nothing here, while no other process can write; all earlier writes have ended.

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
    def _begin(self, connection: Connection) -> None:
        """Begin a transaction; one that writes (``writes``) waits here until no other does."""

    @abstractmethod
    def _sentence(self, error: BaseException, said: str) -> str:
        """A sentence about ``{it}``, of which the driver ``said`` a line in its ``error``."""

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
            # Without statements and parameters, which may hold secrets.
            cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
            said = str(cause).strip().partition("\n")[0].rstrip(".")
            raise StoreError(self._sentence(cause, said).format(it=self._named, said=said)) from error
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


def writes(connection: Connection) -> bool:
    """Whether the connection is one for writing."""
    return bool(connection.get_execution_options().get("lorarack_write", False))


class Moment(TypeDecorator[datetime]):
    """A point in time, always UTC: SQLite hands it back without a zone, PostgreSQL in the zone of the connection."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To UTC."""
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """With its zone."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def text_column(length: int | None = None) -> String:
    """Text that is compared and ordered by its characters' numbers, as in SQLite and Python, whatever the server's language."""
    return String(length).with_variant(String(length, collation="C"), "postgresql")


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
