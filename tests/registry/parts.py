"""The parts that a registry in a folder is put together from, for tests that look at one, or let something happen in between."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lorarack.registry import Registry
from lorarack.registry.blobs.folder import FolderBlobs
from lorarack.registry.catalog.catalog import SqlCatalog
from lorarack.registry.catalog.sqlite import SqliteDatabase
from lorarack.registry.local import LocalRegistry


def database_of(registry: Registry) -> SqliteDatabase:
    """The database of a registry in a folder."""
    return SqliteDatabase(Path(registry.location) / "catalog.sqlite")


def blobs_of(registry: Registry) -> FolderBlobs:
    """The blobs of a registry in a folder."""
    return FolderBlobs(Path(registry.location))


def interrupted(registry: Registry, call: str, first: Callable[[], object]) -> LocalRegistry:
    """The registry, once more; ``first`` happens each time before ``call`` of its catalog is carried out."""
    catalog: Any = _Interrupted(SqlCatalog(database_of(registry)), call, first)
    return LocalRegistry(catalog, blobs_of(registry), registry.location)


class _Interrupted:
    def __init__(self, catalog: SqlCatalog, call: str, first: Callable[[], object]) -> None:
        self._catalog, self._call, self._first = catalog, call, first

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._catalog, name)
        if name != self._call:
            return found

        def after_first(*arguments: Any, **options: Any) -> Any:
            self._first()
            return found(*arguments, **options)

        return after_first
