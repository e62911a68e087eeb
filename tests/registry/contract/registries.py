"""The registries that there are. Another kind joins by one line in ``REGISTRIES``."""

from collections.abc import Callable
from pathlib import Path

from obstore.store import MemoryStore
from tests.registry.contract.catalogs import empty_catalog
from tests.registry.contract.postgres import drop_database, new_database

from lorarack.registry import Registry, open_registry
from lorarack.registry.blobs.folder import FolderBlobs
from lorarack.registry.blobs.object_store import ObjectBlobs
from lorarack.registry.catalog.catalog import SqlCatalog
from lorarack.registry.catalog.postgresql import PostgresDatabase
from lorarack.registry.catalog.sqlite import SqliteDatabase
from lorarack.registry.local import LocalRegistry


def with_objects_in_memory(place: Path) -> Registry:
    """The same catalog over another store of blobs: no operation knows where bytes lie."""
    return LocalRegistry(
        SqlCatalog(SqliteDatabase(place / "catalog")), ObjectBlobs(MemoryStore(), "test://bucket"), "test"
    )


class InPostgres(LocalRegistry):
    """Its catalog in a database of its own, which ends with the registry, and its blobs in a folder."""

    def __init__(self, place: Path) -> None:
        self._address = new_database(empty_catalog())
        super().__init__(SqlCatalog(PostgresDatabase(self._address)), FolderBlobs(place), "test")

    def __exit__(self, *_: object) -> None:
        self.close()
        drop_database(self._address)


#: Each opens a new, empty registry.
REGISTRIES: dict[str, Callable[[Path], Registry]] = {
    "folder": lambda place: open_registry(place),
    "objects in memory": with_objects_in_memory,
    "postgresql": InPostgres,
}
