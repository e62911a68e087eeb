"""The stores of blobs that there are. Another kind joins by one line in ``STORES``."""

import hashlib
import os
from collections.abc import Callable
from io import FileIO
from pathlib import Path

import obstore
from obstore.store import LocalStore, MemoryStore, ObjectStore

from lorarack.registry.blobs.folder import FolderBlobs
from lorarack.registry.blobs.object_store import ObjectBlobs
from lorarack.registry.interface import BlobStore

#: Puts other bytes under a digest, as a failing disk or somebody with access would.
Damage = Callable[[str, bytes], object]


def in_folder(place: Path) -> tuple[BlobStore, Damage]:
    return FolderBlobs(place), lambda digest, data: overwrite(place / key_of(digest), data)


def in_objects(store: ObjectStore) -> tuple[BlobStore, Damage]:
    return ObjectBlobs(store, "test://bucket"), lambda digest, data: obstore.put(store, key_of(digest), data)


STORES: dict[str, Callable[[Path], tuple[BlobStore, Damage]]] = {
    "folder": in_folder,
    "objects in memory": lambda _: in_objects(MemoryStore()),
    "objects in a folder": lambda place: in_objects(LocalStore(place, mkdir=True)),
}

DATA = b"weights" * 1000
LARGE = os.urandom(2**20) * 9  # more than one part of an upload, more than one request of a reader
MISSING = "sha256:" + "0" * 64


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def key_of(digest: str) -> str:
    return f"blobs/sha256/{digest[7:9]}/{digest[7:]}"


def overwrite(path: Path, data: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(data)


def opened(path: Path, data: bytes) -> FileIO:
    path.write_bytes(data)
    return FileIO(path)


def digests(store: BlobStore) -> list[str]:
    return [blob.digest for blob in store.list()]
