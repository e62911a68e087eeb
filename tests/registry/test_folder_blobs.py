"""What is a folder's own as a store of blobs; what every store keeps to is in ``contract``."""

import errno
import hashlib
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

import pytest

from lorarack.registry import disk as disk_module
from lorarack.registry.blobs.blob import copy_blob, read_blob
from lorarack.registry.blobs.folder import FolderBlobs
from lorarack.registry.errors import StoreError

DATA = b"weights" * 1000
DIGEST = f"sha256:{hashlib.sha256(DATA).hexdigest()}"
MISSING = "sha256:" + "0" * 64


@pytest.fixture
def store(tmp_path: Path) -> FolderBlobs:
    return FolderBlobs(tmp_path / "store")


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_a_blob_lies_under_its_digest_and_cannot_be_written(store: FolderBlobs, tmp_path: Path) -> None:
    digest = store.put(DATA).removeprefix("sha256:")
    path = tmp_path / "store" / "blobs" / "sha256" / digest[:2] / digest
    assert path.read_bytes() == DATA
    assert path.stat().st_mode & 0o222 == 0


def test_a_folder_in_a_blobs_place_is_a_store_error(store: FolderBlobs, tmp_path: Path) -> None:
    store.put(DATA)
    path = files_of(tmp_path / "store")[0]
    path.unlink()
    path.mkdir()
    for read in (lambda: read_blob(store, DIGEST), lambda: copy_blob(store, DIGEST, tmp_path / "copy")):
        with pytest.raises(StoreError, match="is not a plain file"):
            read()
    with pytest.raises(StoreError):
        store.delete(DIGEST)


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """As on a full disk, writing more fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_is_full_leaves_nothing_behind(store: FolderBlobs, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(DATA)
    store.put(b"small")
    before = files_of(tmp_path / "store")
    with files_no_larger_than(1000):
        with pytest.raises(StoreError):
            store.put(DATA)
        with FileIO(tmp_path / "source") as source, pytest.raises(StoreError):
            store.put(source)
    assert files_of(tmp_path / "store") == before
    assert store.put(DATA) == DIGEST


@pytest.mark.parametrize(
    ("number", "said"),
    [("ENOSPC", "no space left"), ("EROFS", "read-only"), ("EACCES", "permissions"), ("EDQUOT", "quota"), ("EIO", "disk failed")],
)  # fmt: skip
def test_what_a_disk_says_becomes_a_sentence(number: str, said: str) -> None:
    with pytest.raises(StoreError, match=said) as raised, disk_module.disk_errors():
        raise OSError(getattr(errno, number), "as the system says it", "/some/file")
    assert "/some/file" in str(raised.value)


def test_a_place_that_is_no_folder_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError):
        FolderBlobs(tmp_path / "file").put(DATA)


def test_a_writer_that_died_leaves_nothing_that_counts(store: FolderBlobs, tmp_path: Path) -> None:
    store.put(DATA)
    (tmp_path / "store" / "blobs" / "sha256" / ".new-abc").write_bytes(b"half")
    assert [blob.digest for blob in store.list()] == [DIGEST]
