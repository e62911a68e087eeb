"""Local copies of adapters by digest: ``<cache>/<digest>/``. What an engine reads is copied from there under a check.

Others may write to the folder, empty it or damage files, so nothing in it is trusted: each load reads the bytes again and
compares them with the catalog's digest.
"""

import logging
import os
import shutil
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Protocol

from lorarack.registry import Version
from lorarack.registry.errors import Damaged, StoreError
from lorarack.server.adapter_copy import NotAsPublished, copy_verified
from lorarack.server.spans import span

log = logging.getLogger(__name__)


#: What was used within that many seconds was used recently.
RECENT_SECONDS = 7 * 24 * 3600.0


def recently_used(folder: Path, seconds: float = RECENT_SECONDS) -> frozenset[str]:
    """Digests of the copies in ``folder`` that a server has used within ``seconds``."""
    try:
        with os.scandir(folder) as entries:
            found = [entry for entry in entries if not entry.name.startswith(".")]
            oldest = time.time() - seconds
            return frozenset(f"sha256:{entry.name}" for entry in found if entry.stat().st_mtime >= oldest)
    except OSError:
        return frozenset()


class Fetcher(Protocol):
    """What the cache needs of a registry."""

    def fetch(self, version: Version | str, folder: Path) -> Path:
        """Write a version's files, verified, to a folder that is not there yet."""


class LocalCache:
    """Copies by digest. Safe for threads, processes and servers that share the folder."""

    def __init__(self, folder: Path, fetcher: Fetcher) -> None:
        self._folder = folder
        self._fetcher = fetcher
        #: One per digest: a slow fetch delays no other.
        self._locks: dict[str, threading.Lock] = {}

    def open_copy(self, version: Version) -> IO[bytes]:
        """An open, unnamed file that holds the version for an engine (`adapter_copy`).

        What is missing or damaged in the cache is fetched again from the registry.

        Raises:
            NotFound: the registry no longer has the version.
            Damaged: the registry does not have the right bytes either.
            EngineError: its configuration takes too long to apply.
            StoreError: the disk.
        """
        digest = version.digest.removeprefix("sha256:")
        place = self._folder / digest
        try:
            with self._locks.setdefault(digest, threading.Lock()):
                self._folder.mkdir(parents=True, exist_ok=True)
                try:
                    with span("lorarack.load.verify", version):
                        copy = copy_verified(place, version, self._folder)
                    with suppress(OSError):  # it may be gone by now, and the copy is good
                        os.utime(place)  # when it was used last
                    return copy
                except NotAsPublished as problem:
                    if place.exists():
                        log.warning("The local copy of %s is fetched again: %s.", version.reference, problem)
                    return self._fetch(version, place)
        except OSError as error:
            raise StoreError(
                f"The cache folder {str(self._folder)!r} cannot be used: {error.strerror or error}."
            ) from error

    def _fetch(self, version: Version, place: Path) -> IO[bytes]:
        """Fetch beside ``place``, copy from there, then move it there. What was there before is moved out of the way."""
        scratch = Path(tempfile.mkdtemp(prefix=".new-", dir=self._folder))
        try:
            with span("lorarack.load.fetch", version):
                fresh = self._fetcher.fetch(version, scratch / "files")
            try:
                copy = copy_verified(fresh, version, self._folder)
            except NotAsPublished as problem:
                raise Damaged(f"{version.reference} is damaged in the registry: {problem}.") from problem
            try:
                if place.exists() or place.is_symlink():
                    os.rename(place, scratch / "damaged")
                os.rename(fresh, place)
            except OSError as error:  # another process may have been quicker; the next load fetches it again otherwise
                log.debug("The local copy of %s was not kept: %s", version.reference, error)
            return copy
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
