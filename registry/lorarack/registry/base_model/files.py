"""The files of a base model, wherever they are: a local folder or a repository on the Hub, read by ranges."""

import hashlib
import io
import os
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from lorarack.registry.base_model.content import FileContent, Progress, file_content
from lorarack.registry.disk import open_plain
from lorarack.registry.errors import NotFound, UsageError
from lorarack.registry.hub_access.client import hub_api
from lorarack.registry.hub_access.listing import read_listing
from lorarack.registry.hub_access.names import RepositoryName, whole_repository
from lorarack.registry.hub_access.remote_files import RemoteFile, RemoteFiles
from lorarack.registry.texts import check_text
from lorarack.registry.values import BaseId


class BaseFiles(Protocol):
    """Reads parts of a base model's files by name."""

    def names(self) -> Iterable[str]:
        """File names at the top level."""
        ...

    def open(self, name: str) -> BinaryIO:
        """A seekable file. Reading a small part of it must not read the whole."""
        ...

    def size(self, name: str) -> int:
        """Its length in bytes."""
        ...

    def content(self, name: str, progress: Progress | None = None) -> FileContent:
        """Digests of a weight file; without those of its tensors where they would have to be downloaded."""
        ...

    def identity(self) -> BaseId:
        """By what name the world knows this model."""
        ...


class FolderFiles:
    """A base model in a local folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        check_text(str(self._folder), "folder")

    def names(self) -> Iterable[str]:
        """File names in the folder."""
        return [entry.name for entry in self._folder.iterdir() if entry.is_file()]

    def open(self, name: str) -> BinaryIO:
        """Open a file of the folder."""
        return open_plain(self._folder / name)

    def size(self, name: str) -> int:
        """Length in bytes."""
        return (self._folder / name).stat().st_size

    def content(self, name: str, progress: Progress | None = None) -> FileContent:
        """Read whole, once."""
        return file_content(self._folder / name, progress)

    def identity(self) -> BaseId:
        """The folder's absolute path."""
        return BaseId(kind="path", value=str(self._folder))


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
