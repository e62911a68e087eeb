"""Content-addressed files in a local folder: ``blobs/sha256/ab/abcdef…``, each written once, whole or not at all."""

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from lorarack.registry.blobs import part_file
from lorarack.registry.blobs.blob import Check, Source, digest_of_key, hex_digits, missing, write_hashed
from lorarack.registry.disk import disk_errors, open_plain, sync_folder
from lorarack.registry.errors import StoreError
from lorarack.registry.queries import GcItem
from lorarack.registry.records import StoredBlob


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
            with part_file.part_file(self._root) as (writer, path):
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
        """Remove a blob that was put, or put again, at least ``min_age`` seconds ago; whether it went. Who reads it reads on.

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
        return tuple(part_file.sweep(self._root, min_age, dry_run))

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
