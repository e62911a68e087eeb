"""Folders that appear whole: written beside their place under a name of ours, then renamed.

Who is killed leaves such a folder behind. Its writer holds a lock on it that ends with the process, so the next one who writes
beside it can tell what is left over from what is being written, and removes only that.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lorarack.registry.disk import disk_errors

#: How the name of a folder begins that is being written.
PREFIX = ".lorarack-part-"


@contextmanager
def staging_folder(place: Path) -> Iterator[Path]:
    """A new folder beside ``place``, for this process alone; whatever of it is still there at the end is removed.

    Raises:
        StoreError: the disk.
    """
    with disk_errors():
        place.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(place.parent)
        folder, handle = _begin(place.parent)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def remove_leftovers(parent: Path) -> int:
    """Remove the staging folders in ``parent`` whose writers are gone; how many there were.

    Those of other users, and of a file system that has no locks, stay.
    """
    count = 0
    for found in parent.glob(f"{PREFIX}*"):
        with suppress(OSError):
            handle = os.open(found, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                if os.fstat(handle).st_uid == os.geteuid():
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(found)
                    count += 1
            finally:
                os.close(handle)
    return count


def _begin(parent: Path) -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        try:
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # taken for a leftover between its making and its opening
        with suppress(OSError):  # no locks here: then nobody can lock it to remove it either
            fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink and folder.is_dir():
            return folder, handle
        os.close(handle)
