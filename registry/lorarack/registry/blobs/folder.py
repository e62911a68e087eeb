"""Content-addressed files in a local folder: ``blobs/sha256/ab/abcdef…``, each written once, whole or not at all."""

import fcntl
import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BufferedReader, FileIO
from pathlib import Path

from lorarack.registry.disk import Bytes, disk_errors, open_plain, pump, sync_folder, write_all
from lorarack.registry.errors import Damaged, StoreError, UsageError

_DIGEST = re.compile("sha256:[0-9a-f]{64}")
#: How the name of a file begins that is being written.
_NEW = ".new-"


@dataclass(slots=True)
class StagedBlob:
    """Bytes that are written, and not a blob yet; nobody else writes to ``path``."""

    path: Path
    _writer: FileIO
    _settle: Callable[[], str]
    _synced: bool = False

    def sync(self) -> None:
        """Make the bytes survive a power cut; other threads run meanwhile."""
        if not self._synced:
            os.fsync(self._writer.fileno())
            self._synced = True

    def keep(self) -> str:
        """Make it a blob, synced; returns its digest."""
        self.sync()
        return self._settle()


class FolderBlobs:
    """Blobs under one folder. Safe with many writers: equal content has one name, and a name appears only when whole."""

    def __init__(self, root: Path) -> None:
        self._root = root / "blobs" / "sha256"

    def put_file(self, source: Path) -> str:
        """Store a copy of ``source``; returns its digest. Reads the source once.

        Raises:
            StoreError: the disk is full, read-only or failing; nothing is left behind.
        """
        with disk_errors(), source.open("rb", buffering=0) as reader, self.staged(reader) as copy:
            return copy.keep()

    @contextmanager
    def staged(self, source: FileIO) -> Iterator["StagedBlob"]:
        """A copy of an open file that becomes a blob when it is kept; else it goes. Raises like ``put_file``."""

        def copied(write: Callable[[Bytes], object]) -> None:
            source.seek(0)
            pump(source, write)

        with disk_errors(), self._written(copied) as copy:
            yield copy

    def put_bytes(self, data: bytes) -> str:
        """Store ``data``; returns its digest. Raises like ``put_file``."""
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        # Adapters of one shape share their configuration: a blob that is there, whole, need not be written and synced again.
        return digest if self._touch(digest, data) else self._put(lambda write: write(data))

    def copy_to(self, digest: str, target: Path) -> None:
        """Copy a blob to ``target``, checking its bytes on the way.

        Raises:
            Damaged: the blob's bytes were read and are not those of ``digest``.
            StoreError: the blob is not there or cannot be read, the target is there already or cannot be written. Nothing is left
                at the target then.
        """
        found = hashlib.sha256()
        with self.reading(digest) as reader, disk_errors(), target.open("xb") as writer, _kept_if_whole(target):

            def write(chunk: Bytes) -> None:
                found.update(chunk)
                writer.write(chunk)

            pump(reader, write)
            writer.flush()
            os.fsync(writer.fileno())
            self._check(digest, found.hexdigest())

    def read(self, digest: str) -> bytes:
        """A small blob's bytes, checked. Raises ``Damaged`` and ``StoreError`` like ``copy_to``."""
        with self.reading(digest) as reader:
            data = reader.read()
        self._check(digest, hashlib.sha256(data).hexdigest())
        return data

    def has(self, digest: str) -> bool:
        """Whether the blob is there; its bytes are not looked at."""
        return self._path(digest).is_file()

    def check(self, digest: str) -> None:
        """Read the blob and compare. Raises ``Damaged`` and ``StoreError`` like ``copy_to``."""
        found = hashlib.sha256()
        with self.reading(digest) as reader:
            pump(reader, found.update)
        self._check(digest, found.hexdigest())

    def age(self, digest: str) -> float:
        """Seconds since the blob was put, or put again; 0 when it is not there."""
        try:
            return time.time() - self._path(digest).stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def size(self, digest: str) -> int:
        """Bytes that it takes; 0 when it is not there."""
        try:
            return self._path(digest).stat().st_size
        except FileNotFoundError:
            return 0

    def remove(self, digest: str) -> int:
        """Remove a blob; returns the bytes freed, 0 when it was not there."""
        path = self._path(digest)
        with disk_errors():
            try:
                size = path.stat().st_size
                path.unlink()
            except FileNotFoundError:
                return 0
            return size

    def __iter__(self) -> Iterator[str]:
        """The digests of all blobs."""
        for folder in sorted(self._root.glob("??")):
            if folder.is_symlink() or not folder.is_dir():
                continue
            with os.scandir(folder) as entries:
                for entry in entries:
                    # What is no plain file under such a name is not ours: neither read nor removed.
                    if _DIGEST.fullmatch(f"sha256:{entry.name}") and entry.is_file(follow_symlinks=False):
                        yield f"sha256:{entry.name}"

    def leftovers(self) -> Iterator[tuple[str, float, int]]:
        """Name, age in seconds and size of each file that nobody writes any more and that has not become a blob."""
        for path in sorted(self._root.glob(f"{_NEW}*")):
            with suppress(FileNotFoundError), _unused(path) as unused:
                if unused:
                    found = path.stat()
                    yield path.name, time.time() - found.st_mtime, found.st_size

    def remove_leftover(self, name: str) -> bool:
        """Remove a leftover unless somebody writes it now; whether it went."""
        path = self._root / Path(name).name
        with disk_errors(), suppress(FileNotFoundError), _unused(path) as unused:
            if unused and path.name.startswith(_NEW):
                path.unlink()
                return True
        return False

    def _path(self, digest: str) -> Path:
        if not _DIGEST.fullmatch(digest):
            raise UsageError(f"{digest[:80]!r} is not a digest of the form sha256: and 64 hexadecimal digits.")
        name = digest.removeprefix("sha256:")
        return self._root / name[:2] / name

    def _put(self, fill: Callable[[Callable[[Bytes], object]], object]) -> str:
        with disk_errors(), self._written(fill) as copy:
            return copy.keep()

    @contextmanager
    def _written(self, fill: Callable[[Callable[[Bytes], object]], object]) -> Iterator["StagedBlob"]:
        self._root.mkdir(parents=True, exist_ok=True)
        handle, temporary = self._begin()
        try:
            with os.fdopen(handle, "wb", buffering=0) as writer:  # open, and so locked, until the file has its name
                digest = hashlib.sha256()

                def write(chunk: Bytes) -> None:
                    digest.update(chunk)
                    write_all(writer, chunk)

                fill(write)
                yield StagedBlob(temporary, writer, lambda: self._settle(temporary, digest.hexdigest()))
        finally:
            temporary.unlink(missing_ok=True)

    def _touch(self, digest: str, data: bytes) -> bool:
        """Refresh the blob's time, as putting it again would; whether it is there with these bytes."""
        path = self._path(digest)
        try:
            with open_plain(path) as file:
                if os.fstat(file.fileno()).st_size != len(data) or file.read() != data:
                    return False
            os.utime(path)
            sync_folder(path.parent)  # who wrote it may not have come so far
        except (OSError, StoreError):
            return False  # writing it says what is wrong
        return True

    def _begin(self) -> tuple[int, Path]:
        """A new file, locked for as long as its writer lives: the kernel lets go of a lock when its process is killed."""
        while True:
            handle, name = tempfile.mkstemp(prefix=_NEW, dir=self._root)
            fcntl.flock(handle, fcntl.LOCK_EX)
            if os.fstat(handle).st_nlink:
                return handle, Path(name)
            os.close(handle)  # taken for a leftover between its making and its locking

    def _settle(self, temporary: Path, digest: str) -> str:
        path = self._path(f"sha256:{digest}")
        if not path.parent.is_dir():
            path.parent.mkdir(exist_ok=True)
            sync_folder(self._root)
        temporary.chmod(0o444)
        # Replacing an equal blob refreshes its time, which tells `gc` that a publisher is at work with it.
        temporary.replace(path)
        sync_folder(path.parent)
        return f"sha256:{digest}"

    @contextmanager
    def reading(self, digest: str) -> Iterator[BufferedReader]:
        """The blob, open for reading; its bytes are not checked.

        Raises:
            StoreError: it is not there, which says nothing about its bytes: its disk may be away for a moment. Or the disk.
        """
        path = self._path(digest)
        with disk_errors():
            try:
                reader = open_plain(path)
            except FileNotFoundError as error:
                raise StoreError(
                    f"The stored file {digest} is not at {str(path.parent)!r}; bring the registry's disk back, or, if the file "
                    "is lost, publish the version again from its source.",
                    code="missing",
                ) from error
            with reader:
                yield reader

    def _check(self, digest: str, found: str) -> None:
        if digest != f"sha256:{found}":
            raise Damaged(
                f"The stored file {digest} has other bytes than were stored; publish the version again from its source."
            )


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


@contextmanager
def _kept_if_whole(target: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def remove_tree(folder: Path) -> None:
    """Remove a temporary folder of ours; one that is gone already is fine."""
    shutil.rmtree(folder, ignore_errors=True)
