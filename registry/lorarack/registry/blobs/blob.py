"""What every store of blobs shares: digests, keys, hashing and errors."""

import hashlib
import re
from collections.abc import Callable
from io import FileIO
from typing import BinaryIO, TypeAlias

from lorarack.registry.disk import pump, write_all
from lorarack.registry.errors import Damaged, StoreError, UsageError

_DIGEST = re.compile("sha256:[0-9a-f]{64}")

#: What is put: bytes, or an open file, which is read once from its beginning.
Source: TypeAlias = bytes | BinaryIO
#: Called with a private copy of what is put, a file of this machine; what it raises comes out, and nothing is stored.
Check: TypeAlias = Callable[[FileIO], None]


def hex_digits(digest: str) -> str:
    """The 64 digits of a digest. Raises ``UsageError``: it is none."""
    if not _DIGEST.fullmatch(digest):
        raise UsageError(f"{digest[:80]!r} is not a digest of the form sha256: and 64 hexadecimal digits.")
    return digest.removeprefix("sha256:")


def digest_of_key(key: str) -> str | None:
    """The digest of the blob under ``ab/abcdef…``; None: nothing of ours is called so."""
    fan, _, name = key.partition("/")
    digest = f"sha256:{name}"
    return digest if _DIGEST.fullmatch(digest) and name.startswith(fan) and len(fan) == 2 else None


def write_hashed(source: Source, target: FileIO) -> str:
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


def missing(digest: str, place: str, remedy: str) -> StoreError:
    """A blob that is not there, which says nothing about its bytes: its disk may be away for a moment."""
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
