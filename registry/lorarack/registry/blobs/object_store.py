"""Blobs in an object store: ``blobs/sha256/ab/abcdef…`` as in a folder, so that the one can be copied to the other."""

import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, BinaryIO

import obstore
from obstore.exceptions import BaseError

from lorarack.registry.artifact.manifest import hex_digits
from lorarack.registry.blobs.blob import Check, Source, digest_of_key, missing
from lorarack.registry.disk import disk_errors, write_hashed
from lorarack.registry.errors import StoreError
from lorarack.registry.queries import GcItem
from lorarack.registry.records import StoredBlob

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_PREFIX = "blobs/sha256"
#: Bytes of one part of an upload and of one request of a reader. 10,000 parts, S3's most, hold the largest weight file twice.
_PART = 8 * 2**20
#: Parts under way at a time; with their bytes, what an upload takes of memory.
_PARALLEL = 4


class ObjectBlobs:
    """Blobs under one prefix of an object store.

    Safe with many writers: an object appears whole, and all writers of a digest write the same bytes.

    Args:
        store: where the objects lie.
        place: how messages call it: ``s3://bucket/prefix``.
    """

    def __init__(self, store: "ObjectStore", place: str) -> None:
        self._store, self._place = store, place

    def put(self, source: Source, check: Check | None = None) -> str:
        """Store a copy of ``source``; returns its digest. One that is there is replaced, which mends and refreshes it.

        The copy is made on the local disk first: the key is the digest, so it must be known before the upload begins.

        Raises:
            StoreError: the object store, or the local disk; nothing is left behind. Else what ``check`` raises.
        """
        with disk_errors(), tempfile.TemporaryFile(prefix="lorarack-put-", buffering=0) as copy:
            digest = f"sha256:{write_hashed(source, copy)}"
            if check is not None:
                check(copy)
            copy.seek(0)
            with self._errors():
                obstore.put(self._store, _key(digest), copy, chunk_size=_PART, max_concurrency=_PARALLEL)
        return digest

    @contextmanager
    def open(self, digest: str) -> Iterator[BinaryIO]:
        """The blob, open for reading; its bytes are not checked.

        Raises:
            StoreError: it is not there (code ``missing``) or cannot be read.
        """
        found = self._info(digest)
        if found is None:
            raise self._missing(digest)
        with io.BufferedReader(_ObjectReader(self, digest, found.bytes), _PART) as reader:
            yield reader

    def has(self, digest: str) -> bool:
        """Whether the blob is there; its bytes are not looked at."""
        return self._info(digest) is not None

    def delete(self, digest: str, *, min_age: float = 0.0) -> bool:
        """Remove a blob that was put, or put again, at least ``min_age`` seconds ago; whether it went.

        Raises:
            StoreError: the object store.
        """
        found = self._info(digest)
        if found is None or found.age < min_age:
            return False
        try:
            with self._errors():
                obstore.delete(self._store, _key(digest))
        except FileNotFoundError:
            return False
        return True

    def list(self) -> Iterator[StoredBlob]:
        """All blobs, in the order of their digests.

        Raises:
            StoreError: the object store.
        """
        with self._errors():
            found = [entry for some in obstore.list(self._store, prefix=_PREFIX) for entry in some]
        for entry in sorted(found, key=lambda entry: entry["path"]):
            if digest := digest_of_key(entry["path"].removeprefix(f"{_PREFIX}/")):
                yield StoredBlob(digest, entry["size"], _age(entry["last_modified"]))

    def sweep(self, min_age: float, *, dry_run: bool = False) -> tuple[GcItem, ...]:
        """Nothing: parts of an upload that was cut off are the bucket's lifecycle rule's."""
        return ()

    def read_at(self, digest: str, start: int, length: int) -> memoryview:
        """``length`` bytes of a blob, from ``start``.

        Raises:
            StoreError: it is not there (code ``missing``) or cannot be read.
        """
        try:
            with self._errors():
                return memoryview(obstore.get_range(self._store, _key(digest), start=start, length=length))
        except FileNotFoundError as error:
            raise self._missing(digest) from error

    def _info(self, digest: str) -> StoredBlob | None:
        try:
            with self._errors():
                found = obstore.head(self._store, _key(digest))
        except FileNotFoundError:
            return None
        return StoredBlob(digest, found["size"], _age(found["last_modified"]))

    def _missing(self, digest: str) -> StoreError:
        return missing(digest, self._place, "check that the registry's object store is the right one")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Translate what obstore raises; what is not there stays ``FileNotFoundError``."""
        try:
            yield
        except BaseError as error:
            what = str(error).partition("\n")[0].strip().rstrip(".")
            raise StoreError(
                f"The object store {self._place} failed ({what}); check its address, credentials and network, and try again."
            ) from error


class _ObjectReader(io.RawIOBase):
    """Reads one blob by ranges, from wherever it stands."""

    def __init__(self, blobs: ObjectBlobs, digest: str, size: int) -> None:
        self._blobs, self._digest, self._size, self._at = blobs, digest, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence])
        return self._at

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]
        count = min(len(buffer), self._size - self._at)
        if count <= 0:
            return 0
        data = self._blobs.read_at(self._digest, self._at, count)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def _key(digest: str) -> str:
    name = hex_digits(digest)
    return f"{_PREFIX}/{name[:2]}/{name}"


def _age(written: datetime) -> float:
    return max(0.0, (datetime.now(UTC) - written).total_seconds())
