"""The catalogs that there are. Another kind joins by one line in ``CATALOGS``."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from pathlib import Path

from tests.registry.contract.postgres import drop_database, new_database

from lorarack.registry.catalog.catalog import SqlCatalog
from lorarack.registry.catalog.postgresql import PostgresDatabase
from lorarack.registry.catalog.sqlite import SqliteDatabase
from lorarack.registry.interface import Catalog

#: Opens one catalog, empty at first; each time another instance.
Opener = Callable[[], Catalog]


@contextmanager
def in_sqlite(place: Path) -> Iterator[Opener]:
    place.mkdir(parents=True)
    shutil.copy(_empty_file(), place / "catalog.sqlite")
    yield lambda: SqlCatalog(SqliteDatabase(place / "catalog.sqlite"))


@contextmanager
def in_postgresql(_: Path) -> Iterator[Opener]:
    address = new_database(empty_catalog())
    yield lambda: SqlCatalog(PostgresDatabase(address))
    drop_database(address)


@cache
def _empty_file() -> Path:
    """A database with all tables: a copy takes a twentieth of a migration's time."""
    path = Path(tempfile.mkdtemp()) / "catalog.sqlite"
    SqliteDatabase(path).close()
    return path


@cache
def empty_catalog() -> str:
    """The same in PostgreSQL."""
    address = new_database()
    PostgresDatabase(address).close()
    return address


CATALOGS: dict[str, Callable[[Path], AbstractContextManager[Opener]]] = {
    "sqlite": in_sqlite,
    "postgresql": in_postgresql,
}
