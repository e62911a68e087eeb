"""The operations. Python callers, the command line and the server all come through here."""

from pathlib import Path
from typing import Self

from lorarack.registry.disk import disk_errors
from lorarack.registry.errors import NotFound, UsageError
from lorarack.registry.operations.diff import DiffOperations
from lorarack.registry.operations.events import FollowingOperations
from lorarack.registry.operations.gc import CollectingOperations
from lorarack.registry.operations.lifecycle import KeepingOperations
from lorarack.registry.operations.lineage import LineageOperations
from lorarack.registry.operations.parts import CATALOG
from lorarack.registry.operations.portability import PortabilityOperations
from lorarack.registry.operations.promotion import PromotionOperations
from lorarack.registry.operations.search import SearchOperations
from lorarack.registry.settings import default_registry, home_folder, usable_path


class Registry(
    PortabilityOperations,
    DiffOperations,
    LineageOperations,
    SearchOperations,
    PromotionOperations,
    KeepingOperations,
    CollectingOperations,
    FollowingOperations,
):
    """A registry in a folder: a catalog (SQLite) and content-addressed files. Any number of processes may share it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the database's connections; the registry opens them again when it is used again."""
        self._database.close()


def open_registry(where: str | Path | None = None, *, create: bool = True) -> Registry:
    """Open the registry in folder ``where`` (default: ``LORARACK_REGISTRY``, else the home folder), made when it is new.

    Args:
        where: the folder.
        create: make a new registry there if there is none; one in the home folder is made in any case.

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
    return Registry(folder)


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
