"""Opening a registry."""

from pathlib import Path

from lorarack.registry.blobs.folder import FolderBlobs
from lorarack.registry.catalog.catalog import SqlCatalog
from lorarack.registry.catalog.connection import Clock, utc_now
from lorarack.registry.catalog.sqlite import SqliteDatabase
from lorarack.registry.disk import disk_errors
from lorarack.registry.errors import NotFound, UsageError
from lorarack.registry.interface import Registry
from lorarack.registry.local import LocalRegistry
from lorarack.registry.settings import default_registry, home_folder, usable_path

#: The file of a registry's catalog.
CATALOG = "catalog.sqlite"


def open_registry(
    where: str | Path | None = None, *, create: bool = True, actor: str | None = None, clock: Clock = utc_now
) -> Registry:
    """Open the registry in folder ``where`` (default: ``LORARACK_REGISTRY``, else the home folder), made when it is new.

    Args:
        where: the folder.
        create: make a new registry there if there is none; one in the home folder is made in any case.
        actor: who works here, for the events; by default ``user@host`` of this process.
        clock: tells the time that versions, events and leases get.

    Raises:
        UsageError: a URL, which this version cannot open, or no path at all.
        StoreError: the folder cannot be used.
        NotFound: no registry is there, and none is to be made.
    """
    place = str(where or default_registry())
    if "://" in place:
        raise UsageError(f"{place!r} is a URL; this version of lorarack opens folders only.", code="bad_registry")
    folder = usable_path(place).absolute()
    if not create and folder != home_folder():
        _check_there(folder)
    catalog = SqlCatalog(SqliteDatabase(folder / CATALOG, clock))
    return LocalRegistry(catalog, FolderBlobs(folder), str(folder), actor)


def _check_there(folder: Path) -> None:
    """So that a mistyped name is found out, and not a new registry without anything in it."""
    with disk_errors():
        try:
            (folder / CATALOG).stat()  # `exists` would say no to a file in the folder's place as well
        except FileNotFoundError as error:
            raise NotFound(
                f"There is no registry in {str(folder)!r}; give the folder of one, or begin one there with "
                "'lorarack base add FOLDER-OR-ID --registry FOLDER'.",
                code="no_registry",
            ) from error
