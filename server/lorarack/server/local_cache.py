"""Verified local copies of adapters: the only files that the engine ever reads.

The engine reads an adapter again whenever it fell out of host memory, within a step that other requests share; a file that is
missing or damaged then ends the engine. So it is given paths that hold one digest for ever: ``<cache>/<digest>/``.
"""

import hashlib
import json
import os
import shutil
import tempfile
import threading
from pathlib import Path
from typing import Protocol

from lorarack.registry import Version
from lorarack.registry.artifact.manifest import CONFIG, sha256
from lorarack.registry.artifact.peft_config import canonical_config
from lorarack.registry.errors import StoreError


class Fetcher(Protocol):
    """What the cache needs of a registry."""

    def fetch(self, version: Version | str, folder: Path) -> Path:
        """Write a version's files, verified, to a folder that is not there yet."""


class LocalCache:
    """Copies by digest. Safe for any number of threads, processes and servers that share the folder."""

    def __init__(self, folder: Path, fetcher: Fetcher) -> None:
        self._folder = folder
        self._fetcher = fetcher
        self._verified: set[str] = set()
        #: One a digest: a slow one delays no other.
        self._locks: dict[str, threading.Lock] = {}

    def path_of(self, version: Version) -> Path:
        """The folder with the version's files: made if missing, read and checked the first time this process asks.

        Raises:
            NotFound: the registry has the version no more. Damaged: nor has it the right bytes. StoreError: the disk.
        """
        digest = version.digest.removeprefix("sha256:")
        place = self._folder / digest
        with self._locks.setdefault(digest, threading.Lock()):
            if digest in self._verified:
                return place
            try:
                if not _is_whole(place, version):
                    self._bring(version, place)
            except OSError as error:
                raise StoreError(
                    f"The cache folder {str(self._folder)!r} cannot be used: {error.strerror or error}."
                ) from error
            self._verified.add(digest)
        return place

    def _bring(self, version: Version, place: Path) -> None:
        """Fetch beside ``place``, then move there. A damaged copy is moved out of the way only when the new one is ready."""
        self._folder.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".new-", dir=self._folder))
        try:
            fresh = self._fetcher.fetch(version, scratch / "files")
            if place.exists() and not _is_whole(place, version):
                os.rename(place, scratch / "damaged")
            try:
                os.rename(fresh, place)
            except OSError:
                if not _is_whole(place, version):  # another process may have won with the same bytes
                    raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _is_whole(place: Path, version: Version) -> bool:
    """Whether ``place`` holds every file of ``version`` with the bytes that were published."""
    return all((place / file.name).is_file() and _digest(place / file.name) == file.digest for file in version.files)


def _digest(path: Path) -> str:
    """The digest under which the registry stores this file; of a configuration, that of its canonical form."""
    if path.name == CONFIG:
        try:
            return sha256(canonical_config(json.loads(path.read_bytes())))
        except (ValueError, RecursionError, AttributeError):
            return "not a configuration"
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
