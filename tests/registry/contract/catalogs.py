"""The catalogs that there are. Another kind joins by one line in ``CATALOGS``."""

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
    yield lambda: SqlCatalog(SqliteDatabase(place / "catalog.sqlite"))


@contextmanager
def in_postgresql(_: Path) -> Iterator[Opener]:
    address = new_database(_empty_catalog())
    yield lambda: SqlCatalog(PostgresDatabase(address))
    drop_database(address)


@cache
def _empty_catalog() -> str:
    """A database with all tables; a copy of it takes a twentieth of the time of a migration."""
    address = new_database()
    PostgresDatabase(address).close()
    return address


CATALOGS: dict[str, Callable[[Path], AbstractContextManager[Opener]]] = {
    "sqlite": in_sqlite,
    "postgresql": in_postgresql,
}
