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
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import IO, Protocol

from lorarack.registry import Version
from lorarack.registry.errors import Damaged, StoreError
from lorarack.server.adapter_copy import NotAsPublished, copy_verified
from lorarack.server.adapter_image import Packer
from lorarack.server.spans import span

log = logging.getLogger(__name__)


#: What was used within that many seconds was used recently.
RECENT_SECONDS = 7 * 24 * 3600.0
#: Open files, at most, of copies that are kept.
MOST_KEPT = 128


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

    def __init__(self, folder: Path, fetcher: Fetcher, packer: Packer | None = None, *, keep_bytes: int = 0) -> None:
        """In ``folder``, filled by ``fetcher``; copies for the engine are packed by ``packer`` where it can.

        The last ``keep_bytes`` of copies stay open: what was evicted and is asked for again need not be read and verified again.
        """
        self._folder = folder
        self._fetcher = fetcher
        self._packer = packer
        self._kept = KeptCopies(keep_bytes)
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
                if (kept := self._kept.copy(digest)) is not None:
                    _mark_used(place)
                    return kept
                copy = self._verified(version, place)
                self._kept.keep(digest, copy)
                return copy
        except OSError as error:
            raise StoreError(
                f"The cache folder {str(self._folder)!r} cannot be used: {error.strerror or error}."
            ) from error

    def _verified(self, version: Version, place: Path) -> IO[bytes]:
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            with span("lorarack.load.verify", version):
                copy = copy_verified(place, version, self._folder, self._packer)
            _mark_used(place)
            return copy
        except NotAsPublished as problem:
            if place.exists():
                log.warning("The local copy of %s is fetched again: %s.", version.reference, problem)
            return self._fetch(version, place)

    def _fetch(self, version: Version, place: Path) -> IO[bytes]:
        """Fetch beside ``place``, copy from there, then move it there. What was there before is moved out of the way."""
        scratch = Path(tempfile.mkdtemp(prefix=".new-", dir=self._folder))
        try:
            with span("lorarack.load.fetch", version):
                fresh = self._fetcher.fetch(version, scratch / "files")
            try:
                copy = copy_verified(fresh, version, self._folder, self._packer)
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


def _mark_used(place: Path) -> None:
    with suppress(OSError):  # it may be gone by now, and the copy is good
        os.utime(place)


class KeptCopies:
    """Copies that stay open, the last used ones up to a number of bytes. Nobody else can reach them, so they stay verified."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._handles: OrderedDict[str, int] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def copy(self, digest: str) -> IO[bytes] | None:
        """The copy under ``digest``, for the caller to close."""
        with self._lock:
            if digest not in self._handles:
                return None
            self._handles.move_to_end(digest)
            return os.fdopen(os.dup(self._handles[digest]), "rb")

    def keep(self, digest: str, copy: IO[bytes]) -> None:
        """Keep ``copy``, which stays the caller's, under a handle of its own."""
        size = os.fstat(copy.fileno()).st_size
        if size > self._most:
            return
        with self._lock:
            self._handles[digest] = os.dup(copy.fileno())
            self._bytes += size
            while self._bytes > self._most or len(self._handles) > MOST_KEPT:
                _, oldest = self._handles.popitem(last=False)
                self._bytes -= os.fstat(oldest).st_size
                os.close(oldest)
