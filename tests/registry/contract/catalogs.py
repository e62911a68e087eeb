"""The catalogs that there are. Another kind joins by one line in ``CATALOGS``."""

import atexit
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from tests.registry.contract.postgres import new_database

from lorarack.registry.catalog.catalog import SqlCatalog
from lorarack.registry.catalog.postgresql import PostgresDatabase
from lorarack.registry.catalog.sqlite import SqliteDatabase
from lorarack.registry.interface import Catalog

#: Opens one catalog, empty at first; each time another instance.
Opener = Callable[[], Catalog]


def in_sqlite(place: Path) -> Opener:
    place.mkdir(parents=True)
    shutil.copy(_empty_file(), place / "catalog.sqlite")
    return lambda: SqlCatalog(SqliteDatabase(place / "catalog.sqlite"))


def in_postgresql(_: Path) -> Opener:
    address = new_catalog()
    return lambda: SqlCatalog(PostgresDatabase(address))


def new_catalog() -> str:
    """The address of an empty catalog in PostgreSQL, which ends with the test."""
    return new_database(_empty_database())


@cache
def _empty_file() -> Path:
    """A database with all tables: a copy takes a twentieth of a migration's time."""
    folder = tempfile.mkdtemp(prefix="lorarack-sqlite-")
    atexit.register(shutil.rmtree, folder)
    SqliteDatabase(Path(folder, "catalog.sqlite")).close()
    return Path(folder, "catalog.sqlite")


@cache
def _empty_database() -> str:
    """The same in PostgreSQL."""
    address = new_database()
    PostgresDatabase(address).close()
    return address


CATALOGS: dict[str, Callable[[Path], Opener]] = {
    "sqlite": in_sqlite,
    "postgresql": in_postgresql,
}
