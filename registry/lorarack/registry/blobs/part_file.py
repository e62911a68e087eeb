"""Files that are being written, and what killed writers leave of them.

Each is locked for as long as its writer lives: the kernel lets go of a lock when its process is killed.
"""

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

from lorarack.registry.disk import disk_errors, open_plain
from lorarack.registry.errors import StoreError
from lorarack.registry.queries import GcItem, file_item

_PREFIX = ".new-"


@contextmanager
def part_file(folder: Path) -> Iterator[tuple[FileIO, Path]]:
    """A new file in ``folder``, open for writing, and its path; it is removed at the end unless it was renamed."""
    handle, path = _begin(folder)
    try:
        with os.fdopen(handle, "wb", buffering=0) as writer:  # open, and so locked, until the file has its name
            yield writer, path
    finally:
        path.unlink(missing_ok=True)


def sweep(folder: Path, min_age: float, dry_run: bool) -> Iterator[GcItem]:
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
