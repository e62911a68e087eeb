"""What every store of blobs shares: keys and errors; and reading blobs whole, with their bytes compared to their digest."""

import hashlib
import os
import re
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from typing import BinaryIO, TypeAlias

from lorarack.registry.disk import disk_errors, pump
from lorarack.registry.errors import Damaged, StoreError
from lorarack.registry.interface import BlobStore

_KEY = re.compile("([0-9a-f]{2})/(\\1[0-9a-f]{62})")

#: What is put: bytes, or an open file, which is read once from its beginning.
Source: TypeAlias = bytes | BinaryIO
#: Called with a private copy of what is put, a file of this machine; what it raises comes out, and nothing is stored.
Check: TypeAlias = Callable[[FileIO], None]


def digest_of_key(key: str) -> str | None:
    """The digest of the blob under ``ab/abcdef…``; None: the key is not one of ours."""
    found = _KEY.fullmatch(key)
    return f"sha256:{found[2]}" if found else None


def missing(digest: str, place: str, remedy: str) -> StoreError:
    """A blob that cannot be found. That is no damage: its disk may be unmounted for a moment."""
    return StoreError(
        f"The stored file {digest} is not at {place!r}; {remedy}, or, if the file is lost, publish the version again from "
        "its source.",
        code="missing",
    )


def damaged(digest: str) -> Damaged:
    """A blob whose bytes were read and are others."""
    return Damaged(
        f"The stored file {digest} has other bytes than were stored; publish the version again from its source."
    )


def read_blob(blobs: BlobStore, digest: str) -> bytes:
    """A small blob's bytes.

    Raises:
        Damaged: the blob's bytes were read and are not those of ``digest``.
        StoreError: the blob is not there or cannot be read.
    """
    with blobs.open(digest) as reader:
        data = reader.read()
    if digest != f"sha256:{hashlib.sha256(data).hexdigest()}":
        raise damaged(digest)
    return data


def check_blob(blobs: BlobStore, digest: str) -> None:
    """Read the blob and compare.

    Raises:
        Damaged: the blob's bytes were read and are not those of ``digest``.
        StoreError: the blob is not there or cannot be read.
    """
    found = hashlib.sha256()
    with blobs.open(digest) as reader:
        pump(reader, found.update)
    if digest != f"sha256:{found.hexdigest()}":
        raise damaged(digest)


def copy_blob(blobs: BlobStore, digest: str, target: Path) -> None:
    """Copy a blob to the new file ``target``, which is synced; nothing is left there after an error.

    Raises:
        Damaged: the blob's bytes were read and are not those of ``digest``.
        StoreError: the blob is not there or cannot be read, or the target is there already or cannot be written.
    """
    found = hashlib.sha256()
    with blobs.open(digest) as reader, disk_errors(), target.open("xb") as writer:

        def write(chunk: bytes) -> None:
            found.update(chunk)
            writer.write(chunk)

        try:
            pump(reader, write)
            if digest != f"sha256:{found.hexdigest()}":
                raise damaged(digest)
            writer.flush()
            os.fsync(writer.fileno())
        except BaseException:
            target.unlink(missing_ok=True)
            raise
