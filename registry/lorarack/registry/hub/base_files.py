"""The files of a base model that is, or may be, on the Hub: weights are read by ranges."""

import hashlib
import io
import os
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, cast

from lorarack.registry.base_model.content import FileContent, Progress
from lorarack.registry.base_model.files import BaseFiles, FolderFiles
from lorarack.registry.errors import NotFound, UsageError
from lorarack.registry.hub.client import hub_api
from lorarack.registry.hub.names import RepositoryName, whole_repository
from lorarack.registry.hub.remote_files import RemoteFile, RemoteFiles
from lorarack.registry.hub.repository import read_listing
from lorarack.registry.values import Base, BaseId


class HubFiles:
    """A base model on the Hub at one commit; its weights are read by byte ranges, never whole.

    Raises (on construction and on reading):
        NotFound: no such repository or revision.
        NotAllowed: the token is refused.
        Unavailable: the Hub cannot be reached.
    """

    def __init__(self, name: RepositoryName) -> None:
        self._repo_id = name.repo_id
        api = hub_api()
        listing = read_listing(api, name)
        self._commit = listing.commit
        self._remote = RemoteFiles(api, name.repo_id, listing.commit)
        self._sizes = {path: size for path, size in listing.sizes.items() if "/" not in path}
        self._sha256 = listing.sha256

    def names(self) -> Iterable[str]:
        """File names at the repository's top."""
        return list(self._sizes)

    def open(self, name: str) -> BinaryIO:
        """Weights by ranges, anything else whole."""
        file = RemoteFile(self._remote, name, self.size(name))
        if name.endswith(".safetensors"):
            return cast(BinaryIO, file)
        with file:
            return io.BytesIO(file.read(self.size(name)))

    def size(self, name: str) -> int:
        """Length in bytes as the Hub states it."""
        return self._sizes[name]

    def content(self, name: str, progress: Progress | None = None) -> FileContent:
        """What the Hub says of a large file; one that it keeps in Git is small, and read."""
        stated = self._sha256.get(name)
        if stated is None:
            whole = hashlib.sha256()
            for piece in self._remote.stream(name, 0, self.size(name)):
                whole.update(piece)
            stated = whole.hexdigest()
        if progress:
            progress(self.size(name))
        return FileContent(stated, {})

    def identity(self) -> BaseId:
        """Repository and commit."""
        return BaseId(kind="hub", value=self._repo_id, revision=self._commit)


def find_files(source: str) -> BaseFiles:
    """The files behind ``source``: an existing folder, else a Hub id ``ORG/REPO`` or ``ORG/REPO@REVISION``.

    Raises:
        NotFound: neither; or as ``HubFiles``.
    """
    folder = os.path.expanduser(source)
    if os.path.isdir(folder):  # Path's methods raise where a name is too long or a user unknown
        return FolderFiles(Path(folder))
    try:
        name = whole_repository(source)
    except UsageError as error:
        raise NotFound(
            f"{source!r} is neither a folder here nor a Hub id of the form ORG/REPO; give one of the two.",
            code="no_base",
        ) from error
    return HubFiles(name)


def files_at(place: BaseId) -> BaseFiles:
    """The files at a place where a base is known to be.

    Raises:
        NotFound: no such repository or revision.
        NotAllowed: the token is refused.
        Unavailable: the Hub cannot be reached.
    """
    if place.kind == "path":
        return FolderFiles(Path(place.value))
    return HubFiles(RepositoryName(place.value, place.revision))


def files_of(base: Base) -> BaseFiles:
    """The files of a base: in the folder where it was, else in its repository on the Hub.

    Raises:
        NotFound: it is in neither; or as ``HubFiles``.
    """
    if base.path is not None and Path(base.path).is_dir():
        return FolderFiles(Path(base.path))
    if base.hub_id is not None:
        return files_at(base.hub_id)
    raise NotFound(f"its files are not at {base.path!r}", code="no_base")
