"""The files of a base model, wherever they are: a local folder or a repository on the Hub, read by ranges."""

import io
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Protocol

from lorarack.registry.errors import NotFound
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

    def identity(self) -> BaseId:
        """By what name the world knows this model."""
        ...


class FolderFiles:
    """A base model in a local folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    def names(self) -> Iterable[str]:
        """File names in the folder."""
        return [entry.name for entry in self._folder.iterdir() if entry.is_file()]

    def open(self, name: str) -> BinaryIO:
        """Open a file of the folder."""
        return (self._folder / name).open("rb")

    def size(self, name: str) -> int:
        """Length in bytes."""
        return (self._folder / name).stat().st_size

    def identity(self) -> BaseId:
        """The folder's absolute path."""
        return BaseId(kind="path", value=str(self._folder))


class HubFiles:
    """A base model on the Hub at one commit; large files are read by byte ranges.

    Raises (on construction):
        NotFound: no such repository or revision.
        Unavailable: the Hub cannot be reached.
    """

    def __init__(self, repo_id: str, revision: str | None = None) -> None:
        from lorarack.registry.hub_access.client import hub_api
        from lorarack.registry.hub_access.translate import hub_errors

        self._repo_id = repo_id
        api = hub_api()
        with hub_errors(repo_id):
            info = api.model_info(repo_id, revision=revision, files_metadata=True)
        self._commit = info.sha or "main"
        self._sizes = {s.rfilename: s.size or 0 for s in info.siblings or [] if "/" not in s.rfilename}
        self._api = api

    def names(self) -> Iterable[str]:
        """File names at the repository's top."""
        return list(self._sizes)

    def open(self, name: str) -> BinaryIO:
        """Weights by ranges, anything else whole."""
        from huggingface_hub import HfFileSystem
        from lorarack.registry.hub_access.translate import hub_errors

        with hub_errors(self._repo_id):
            filesystem = HfFileSystem(endpoint=self._api.endpoint, token=self._api.token)
            path = f"{self._repo_id}@{self._commit}/{name}"
            if name.endswith(".safetensors"):
                return filesystem.open(path, "rb", block_size=2**20)  # type: ignore[no-any-return]
            return io.BytesIO(filesystem.cat_file(path))

    def size(self, name: str) -> int:
        """Length in bytes as the Hub states it."""
        return self._sizes[name]

    def identity(self) -> BaseId:
        """Repository and commit."""
        return BaseId(kind="hub", value=self._repo_id, revision=self._commit)


def find_files(source: str) -> BaseFiles:
    """The files behind ``source``: an existing folder, else a Hub id ``ORG/REPO`` or ``ORG/REPO@REVISION``.

    Raises:
        NotFound: neither.
    """
    folder = Path(source).expanduser()
    if folder.is_dir():
        return FolderFiles(folder)
    repo_id, _, revision = source.partition("@")
    if repo_id.count("/") != 1 or repo_id.startswith((".", "/", "~")) or not all(repo_id.split("/")):
        raise NotFound(
            f"{source!r} is neither a folder here nor a Hub id of the form ORG/REPO; give one of the two.",
            code="no_base",
        )
    return HubFiles(repo_id, revision or None)
