"""The registries that there are. Another kind joins by one line in ``REGISTRIES``."""

from collections.abc import Callable
from pathlib import Path

from obstore.store import MemoryStore
from tests.registry.contract.catalogs import new_catalog

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


def in_postgresql(place: Path) -> Registry:
    """The catalog in a database of its own, the blobs in a folder."""
    return LocalRegistry(SqlCatalog(PostgresDatabase(new_catalog())), FolderBlobs(place), "test")


#: Each opens a new, empty registry.
REGISTRIES: dict[str, Callable[[Path], Registry]] = {
    "folder": lambda place: open_registry(place),
    "objects in memory": with_objects_in_memory,
    "postgresql": in_postgresql,
}
