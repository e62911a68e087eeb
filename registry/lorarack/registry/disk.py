"""What a disk can say, and making it keep what it was told."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lorarack.registry.errors import StoreError


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


def sync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
