"""Reading blobs of any store whole, with their bytes compared to their digest."""

import hashlib
import os
from pathlib import Path

from lorarack.registry.blobs.blob import damaged
from lorarack.registry.disk import disk_errors, pump
from lorarack.registry.interface import BlobStore


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
