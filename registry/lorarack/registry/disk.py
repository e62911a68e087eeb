"""A disk's errors as ours, and writes that survive a crash."""

import errno
import fcntl
import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedReader, FileIO
from pathlib import Path
from typing import BinaryIO

from lorarack.registry.errors import LorarackError, StoreError

_COPY_BYTES = 2**18


@contextmanager
def disk_errors() -> Iterator[None]:
    """Translate what a disk can say into ``StoreError`` with one sentence."""
    try:
        yield
    except OSError as error:
        where = f" at {error.filename!r}" if error.filename else ""
        sentences = {
            errno.ENOSPC: f"There is no space left on the disk{where}; free some and try again.",
            errno.EDQUOT: f"The disk quota is used up{where}; free some space and try again.",
            errno.EROFS: f"The disk is read-only{where}; give a folder that can be written.",
            errno.EACCES: f"The folder may not be written or read{where}; change its permissions or give another.",
            errno.EPERM: f"The operation is not permitted{where}; change the permissions or give another folder.",
        }
        raise StoreError(
            sentences.get(error.errno or 0, f"The disk failed{where}: {error.strerror or error}.")
        ) from error


@contextmanager
def lock_file(path: Path, busy: LorarackError) -> Iterator[None]:
    """Hold ``path`` for this process alone; it is made, and stays. The lock ends with the process, however that ends.

    On a file system without locks nobody is kept out.

    Raises:
        LorarackError: ``busy``, where another process holds it.
        StoreError: the disk.
    """
    with disk_errors():
        lock = path.open("a")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise busy from error
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP):
                raise
        yield


def open_plain(path: Path) -> BufferedReader:
    """``path``, open for reading; never waits, as opening a pipe that nobody writes to would.

    Raises:
        StoreError: it is no plain file. OSError: as ``open``.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise StoreError(f"{str(path)!r} is not a plain file; move it away and try again.", code="not_a_file")
    return open(handle, "rb")


def sync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_all(writer: FileIO, chunk: bytes) -> None:
    """Write all of ``chunk``: unbuffered, a write may take a part of it."""
    left = memoryview(chunk)
    while left:
        left = left[writer.write(left) or 0 :]


def pump(reader: BinaryIO, write: Callable[[bytes], object]) -> None:
    """Hand all bytes of ``reader`` to ``write``, in pieces."""
    while chunk := reader.read(_COPY_BYTES):
        write(chunk)


def write_hashed(source: bytes | BinaryIO, target: FileIO) -> str:
    """Write all of ``source`` to the unbuffered ``target``; returns the 64 digits of the digest of what was written."""
    digest = hashlib.sha256()

    def write(chunk: bytes) -> None:
        digest.update(chunk)
        write_all(target, chunk)

    if isinstance(source, bytes):
        write(source)
    else:
        source.seek(0)
        pump(source, write)
    return digest.hexdigest()


class WatchedFile(FileIO):
    """The same open file as ``file``, of which every piece that is read is shown to ``watch`` as well."""

    def __init__(self, file: FileIO, watch: Callable[[bytes], object]) -> None:
        super().__init__(os.dup(file.fileno()))
        self._watch = watch

    def read(self, size: int | None = -1, /) -> bytes:
        """What ``FileIO`` reads."""
        data = super().read(-1 if size is None else size) or b""
        self._watch(data)
        return data


def remove_tree(folder: Path) -> None:
    """Remove a temporary folder of ours; one that is gone already is fine."""
    shutil.rmtree(folder, ignore_errors=True)
