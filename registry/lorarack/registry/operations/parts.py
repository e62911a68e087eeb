"""What every operation works with."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from lorarack.registry.catalog.reader import CatalogReader
from lorarack.registry.catalog.sqlite import SqliteDatabase
from lorarack.registry.errors import Damaged, NotFound
from lorarack.registry.reference import ByNumber, Reference, check_adapter_name, parse_reference
from lorarack.registry.resolve import did_you_mean, resolve
from lorarack.registry.texts import MAX_NAME, check_text
from lorarack.registry.values import State, Version
from lorarack.registry.view import AdapterView

if TYPE_CHECKING:
    from lorarack.registry.blobs.folder import FolderBlobs
    from lorarack.registry.catalog.gc import CatalogCollector
    from lorarack.registry.catalog.lifecycle import CatalogChanger
    from lorarack.registry.catalog.search import CatalogSearcher
    from lorarack.registry.catalog.versions import CatalogWriter

#: The file of a registry's catalog.
CATALOG = "catalog.sqlite"


class Parts:
    """One registry's catalog and files, and the looks that all operations share."""

    def __init__(self, home: Path, actor: str | None = None) -> None:
        self.home = home
        self._given_actor = actor
        self._database = SqliteDatabase(home / CATALOG)
        self._reader = CatalogReader(self._database)

    # Each part is imported when it is first used: a command that looks needs none of those that write.

    @cached_property
    def actor(self) -> str:
        """Who does what is done here. Raises ``UsageError``: a name that cannot be kept."""
        actor = self._given_actor or local_actor()
        check_text(actor, "actor", MAX_NAME)
        return actor

    @cached_property
    def _blobs(self) -> "FolderBlobs":
        from lorarack.registry.blobs.folder import FolderBlobs

        return FolderBlobs(self.home)

    @cached_property
    def _searcher(self) -> "CatalogSearcher":
        from lorarack.registry.catalog.search import CatalogSearcher

        return CatalogSearcher(self._database)

    @cached_property
    def _writer(self) -> "CatalogWriter":
        from lorarack.registry.catalog.versions import CatalogWriter

        return CatalogWriter(self._database, self.actor)

    @cached_property
    def _changer(self) -> "CatalogChanger":
        from lorarack.registry.catalog.lifecycle import CatalogChanger

        return CatalogChanger(self._database, self.actor)

    @cached_property
    def _collector(self) -> "CatalogCollector":
        from lorarack.registry.catalog.gc import CatalogCollector

        return CatalogCollector(self._database)

    def resolve(self, reference: str, *, with_curves: bool = False) -> Version:
        """The version that ``reference`` names, ``with_curves``: with the points of its metrics' curves.

        Raises:
            BadReference: not a reference. NotFound: nothing of that name. Conflict: not in a state to be used.
        """
        parsed = parse_reference(reference)
        found = self._reader.pick(parsed, with_curves=with_curves)
        if found is not None and found.state is State.READY:
            return found
        # The rules know what is wrong and what may have been meant; they want to see the whole adapter for that.
        view = self._reader.adapter(parsed.name, with_curves=with_curves)
        return resolve(reference, {parsed.name: view} if view else {}, () if view else self._reader.names())

    def _exact(self, reference: str, *, with_curves: bool = False) -> Version:
        """Like ``resolve``, but in whatever state: for those who look after versions."""
        found = self._reader.pick(parse_reference(reference), with_curves=with_curves)
        return found if found is not None else self.resolve(reference, with_curves=with_curves)

    def _numbered(self, adapter: str, number: int) -> Version:
        """That very version, in whatever state. Raises ``NotFound``."""
        found = self._reader.pick(Reference(adapter, ByNumber(number)))
        if found is None:
            raise NotFound(f"There is no version {adapter}@{number}.", code="unknown_reference")
        return found

    def _verify(self, version: Version) -> None:
        """Read all stored bytes of a version. Raises ``Damaged``, then it is marked so, and ``StoreError``."""
        from lorarack.registry.blobs.verified import check_blob

        try:
            for file in version.files:
                check_blob(self._blobs, file.digest)
        except Damaged as error:
            raise self._damaged(version, error) from error

    def _damaged(self, version: Version, error: Damaged) -> Damaged:
        """What to raise after stored bytes of ``version`` were found to be others; it is out of use then."""
        marked = self._changer.mark_damaged(version.adapter, version.number, version.digest, error.message)
        now = "is damaged and now out of use" if marked else "is damaged"
        return Damaged(f"{version.reference} {now}. {error.message}")

    def _view(self, adapter: str, *, with_curves: bool = False) -> AdapterView:
        view = self._reader.adapter(check_adapter_name(adapter), with_curves=with_curves)
        if view is None:
            raise self._no_adapter(adapter)
        return view

    def _no_adapter(self, adapter: str) -> NotFound:
        near = self._reader.near(adapter)
        return NotFound(f"There is no adapter {adapter!r}.{did_you_mean(near)}", near=near, code="unknown_reference")

    def _check_known(self, adapter: str) -> None:
        """Raises ``NotFound``."""
        if not self._reader.has_adapter(check_adapter_name(adapter)):
            raise self._no_adapter(adapter)


def local_actor() -> str:
    """``user@host`` of this process."""
    import getpass
    import socket

    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # no such user in the password file, as in some containers
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
