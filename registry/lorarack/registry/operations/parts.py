"""What every operation works with."""

import getpass
import socket
from pathlib import Path

from lorarack.registry.blobs import FolderBlobs
from lorarack.registry.catalog.changing import CatalogChanger
from lorarack.registry.catalog.collecting import CatalogCollector
from lorarack.registry.catalog.database import Database
from lorarack.registry.catalog.reading import CatalogReader
from lorarack.registry.catalog.searching import CatalogSearcher
from lorarack.registry.catalog.writing import CatalogWriter
from lorarack.registry.errors import NotFound
from lorarack.registry.reference import ByNumber, Reference, check_adapter_name, parse_reference
from lorarack.registry.resolution import did_you_mean, resolve
from lorarack.registry.values import State, Version
from lorarack.registry.view import AdapterView

#: The file of a registry's catalog.
CATALOG = "catalog.sqlite"


class Parts:
    """One registry's catalog and files, and the looks that all operations share."""

    def __init__(self, home: Path, actor: str | None = None) -> None:
        self.home = home
        self.actor = actor or local_actor()
        self._database = Database(home / CATALOG)
        self._blobs = FolderBlobs(home)
        self._reader = CatalogReader(self._database)
        self._searcher = CatalogSearcher(self._database)
        self._writer = CatalogWriter(self._database, self.actor)
        self._changer = CatalogChanger(self._database, self.actor)
        self._collector = CatalogCollector(self._database)

    def resolve(self, reference: str) -> Version:
        """The version that ``reference`` names.

        Raises:
            BadReference: not a reference. NotFound: nothing of that name. Conflict: not in a state to be used.
        """
        parsed = parse_reference(reference)
        found = self._reader.pick(parsed)
        if found is not None and found.state is State.READY:
            return found
        # The rules know what is wrong and what may have been meant; they want to see the whole adapter for that.
        view = self._reader.adapter(parsed.name)
        return resolve(reference, {parsed.name: view} if view else {}, () if view else self._reader.names())

    def _exact(self, reference: str) -> Version:
        """Like ``resolve``, but in whatever state: for those who look after versions."""
        found = self._reader.pick(parse_reference(reference))
        return found if found is not None else self.resolve(reference)

    def _numbered(self, adapter: str, number: int) -> Version:
        """That very version, in whatever state. Raises ``NotFound``."""
        found = self._reader.pick(Reference(adapter, ByNumber(number)))
        if found is None:
            raise NotFound(f"There is no version {adapter}@{number}.", code="unknown_reference")
        return found

    def _view(self, adapter: str) -> AdapterView:
        view = self._reader.adapter(check_adapter_name(adapter))
        if view is None:
            raise self._no_adapter(adapter)
        return view

    def _no_adapter(self, adapter: str) -> NotFound:
        near = self._reader.near(adapter)
        return NotFound(f"There is no adapter {adapter!r}.{did_you_mean(near)}", near=near, code="unknown_reference")

    def _check_known(self, adapter: str) -> None:
        """Raises ``NotFound``."""
        if check_adapter_name(adapter) not in self._reader.names():
            raise self._no_adapter(adapter)


def local_actor() -> str:
    """``user@host`` of this process."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # no such user in the password file, as in some containers
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
