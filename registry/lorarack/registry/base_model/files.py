"""The files of a base model, wherever they are (``hub/base_files.py`` for the Hub's)."""

from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Protocol

from lorarack.registry.base_model.content import FileContent, Progress, file_content
from lorarack.registry.disk import open_plain
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
        """The model's external name: a Hub repository or a folder."""
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
