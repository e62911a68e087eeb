"""Content-addressed files in a local folder: ``blobs/sha256/ab/abcdef…``, each written once, whole or not at all."""

import fcntl
import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from lorarack.registry.artifact.manifest import hex_digits
from lorarack.registry.blobs.blob import Check, Source, digest_of_key, missing
from lorarack.registry.disk import disk_errors, open_plain, sync_folder, write_hashed
from lorarack.registry.errors import StoreError
from lorarack.registry.queries import GcItem, file_item
from lorarack.registry.records import StoredBlob

_PREFIX = ".new-"


class FolderBlobs:
    """Blobs under one folder. Safe with many writers: equal content has one name, and a name appears only when whole."""

    def __init__(self, root: Path) -> None:
        self._root = root / "blobs" / "sha256"

    def put(self, source: Source, check: Check | None = None) -> str:
        """Store a copy of ``source``, synced; returns its digest. One that is there is replaced, which mends and refreshes it.

        Raises:
            StoreError: the disk is full, read-only or failing; nothing is left behind. Else what ``check`` raises.
        """
        # Adapters of one shape share their configuration: a blob that is there, whole, need not be written and synced again.
        if isinstance(source, bytes) and check is None and (there := self._refreshed(source)):
            return there
        with disk_errors():
            self._root.mkdir(parents=True, exist_ok=True)
            with _part_file(self._root) as (writer, path):
                digest = write_hashed(source, writer)
                if check is not None:
                    with FileIO(path) as copy:
                        check(copy)
                os.fsync(writer.fileno())
                self._rename(path, digest)
        return f"sha256:{digest}"

    @contextmanager
    def open(self, digest: str) -> Iterator[BinaryIO]:
        """The blob, open for reading; its bytes are not checked.

        Raises:
            StoreError: it is not there (code ``missing``) or cannot be read.
        """
        path = self._path(digest)
        with disk_errors():
            try:
                reader = open_plain(path)
            except FileNotFoundError as error:
                raise missing(digest, str(path.parent), "bring the registry's disk back") from error
            with reader:
                yield reader

    def has(self, digest: str) -> bool:
        """Whether the blob is there; its bytes are not looked at."""
        return self._path(digest).is_file()

    def delete(self, digest: str, *, min_age: float = 0.0) -> bool:
        """Remove a blob that was put, or put again, at least ``min_age`` seconds ago; whether it was removed. Open readers read on.

        Raises:
            StoreError: the disk.
        """
        path = self._path(digest)
        with disk_errors(), suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime >= min_age:
                path.unlink()
                return True
        return False

    def list(self) -> Iterator[StoredBlob]:
        """All blobs, in the order of their digests."""
        for folder in sorted(self._root.glob("??")):
            if folder.is_symlink() or not folder.is_dir():
                continue
            with os.scandir(folder) as entries:
                named = sorted(entries, key=lambda entry: entry.name)
            for entry in named:
                digest = digest_of_key(f"{folder.name}/{entry.name}")
                # What is no plain file under such a name is not ours: neither read nor removed.
                with suppress(FileNotFoundError):
                    if digest and entry.is_file(follow_symlinks=False):
                        found = entry.stat(follow_symlinks=False)
                        yield StoredBlob(digest, found.st_size, time.time() - found.st_mtime)

    def sweep(self, min_age: float, *, dry_run: bool = False) -> tuple[GcItem, ...]:
        """Remove what killed writers left half-written, unless it is younger.

        Raises:
            StoreError: the disk.
        """
        return tuple(_sweep(self._root, min_age, dry_run))

    def _path(self, digest: str) -> Path:
        name = hex_digits(digest)
        return self._root / name[:2] / name

    def _refreshed(self, data: bytes) -> str | None:
        """The digest of ``data`` where its blob is there, whole; its time is set as writing it again would."""
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        path = self._path(digest)
        try:
            with open_plain(path) as file:
                if os.fstat(file.fileno()).st_size != len(data) or file.read() != data:
                    return None
            os.utime(path)
            sync_folder(path.parent)  # who wrote it may not have come so far
        except (OSError, StoreError):
            return None  # writing it says what is wrong
        return digest

    def _rename(self, part: Path, digest: str) -> None:
        path = self._path(f"sha256:{digest}")
        if not path.parent.is_dir():
            path.parent.mkdir(exist_ok=True)
            sync_folder(self._root)
        part.chmod(0o444)
        # Replacing an equal blob refreshes its time, which tells `gc` that a publisher is at work with it.
        part.replace(path)
        sync_folder(path.parent)


@contextmanager
def _part_file(folder: Path) -> Iterator[tuple[FileIO, Path]]:
    """A new file in ``folder``, open for writing, and its path; it is removed at the end unless it was renamed.

    It is locked for as long as its writer lives: the kernel lets go of a lock when its process is killed.
    """
    handle, path = _begin(folder)
    try:
        with os.fdopen(handle, "wb", buffering=0) as writer:  # open, and so locked, until the file has its name
            yield writer, path
    finally:
        path.unlink(missing_ok=True)


def _sweep(folder: Path, min_age: float, dry_run: bool) -> Iterator[GcItem]:
    """Remove each part file in ``folder`` that nobody writes any more, unless it is younger than ``min_age`` seconds."""
    for path in sorted(folder.glob(f"{_PREFIX}*")):
        with disk_errors(), suppress(FileNotFoundError), _unused(path) as unused:
            if unused:
                found = path.stat()
                item = file_item("leftover", path.name, time.time() - found.st_mtime, found.st_size, min_age)
                if item.removed and not dry_run:
                    path.unlink()
                yield item


def _begin(folder: Path) -> tuple[int, Path]:
    while True:
        handle, name = tempfile.mkstemp(prefix=_PREFIX, dir=folder)
        fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            return handle, Path(name)
        os.close(handle)  # taken for a leftover between its making and its locking


@contextmanager
def _unused(path: Path) -> Iterator[bool]:
    """Whether no writer holds the file's lock; meanwhile none can. What cannot be opened as a file counts as used."""
    try:
        file = open_plain(path)
    except FileNotFoundError:
        raise
    except (OSError, StoreError):
        yield False
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
