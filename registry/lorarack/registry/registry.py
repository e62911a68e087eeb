"""The operations. Python callers, the command line and the server all come through here."""

from pathlib import Path
from typing import Self

from lorarack.registry.errors import UsageError
from lorarack.registry.operations.collecting import CollectingOperations
from lorarack.registry.operations.diffing import DiffOperations
from lorarack.registry.operations.following import FollowingOperations
from lorarack.registry.operations.keeping import KeepingOperations
from lorarack.registry.operations.lineage import LineageOperations
from lorarack.registry.operations.portability import PortabilityOperations
from lorarack.registry.operations.promoting import PromotionOperations
from lorarack.registry.operations.searching import SearchOperations
from lorarack.registry.settings import default_registry


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


def open_registry(where: str | Path | None = None) -> Registry:
    """Open the registry in folder ``where`` (default: ``LORARACK_REGISTRY``, else the home folder), made when it is new.

    Raises:
        UsageError: a URL, which this version cannot open. StoreError: the folder cannot be used.
    """
    place = str(where or default_registry())
    if "://" in place:
        raise UsageError(f"{place!r} is a URL; this version of lorarack opens folders only.", code="bad_registry")
    return Registry(Path(place).expanduser().absolute())
