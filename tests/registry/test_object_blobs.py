"""What is an object store's own as a store of blobs; what every store keeps to is in ``contract``."""

import os
from collections.abc import Callable
from datetime import timedelta
from io import FileIO
from pathlib import Path

import obstore
import pytest
from obstore.store import LocalStore, MemoryStore, S3Store

from lorarack.registry.blobs.blob import read_blob
from lorarack.registry.blobs.folder import FolderBlobs
from lorarack.registry.blobs.object_store import ObjectBlobs
from lorarack.registry.errors import StoreError

DIGEST = "sha256:" + "0" * 64
CALLS: dict[str, Callable[[ObjectBlobs], object]] = {
    "put": lambda blobs: blobs.put(b"data"),
    "open": lambda blobs: read_blob(blobs, DIGEST),
    "has": lambda blobs: blobs.has(DIGEST),
    "delete": lambda blobs: blobs.delete(DIGEST),
    "list": lambda blobs: list(blobs.list()),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_store_that_cannot_be_reached_is_one_sentence(call: str) -> None:
    raw = S3Store(
        "bucket",
        endpoint="http://127.0.0.1:9",
        access_key_id="someone",
        secret_access_key="a-secret",
        region="nowhere-1",
        client_options={"allow_http": True},
        retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=1)},
    )
    with pytest.raises(StoreError, match=r"The object store s3://bucket failed .* check its address") as raised:
        CALLS[call](ObjectBlobs(raw, "s3://bucket"))
    assert "\n" not in raised.value.message
    assert "a-secret" not in raised.value.message


def test_a_local_disk_without_room_for_the_copy_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    blobs = ObjectBlobs(MemoryStore(), "memory://")
    with pytest.raises(StoreError):
        blobs.put(b"data")
    assert list(blobs.list()) == []


def test_an_upload_that_fails_leaves_nothing_in_a_folder(tmp_path: Path) -> None:
    blobs = ObjectBlobs(LocalStore(tmp_path, mkdir=True), "file://")
    (tmp_path / "blobs").write_text("in the way")
    (tmp_path / "source").write_bytes(os.urandom(2**20) * 9)
    with FileIO(tmp_path / "source") as source, pytest.raises(StoreError):
        blobs.put(source)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["blobs", "source"]


def test_what_is_no_blob_is_not_listed() -> None:
    raw = MemoryStore()
    blobs = ObjectBlobs(raw, "memory://")
    digest = blobs.put(b"data")
    for key in ("blobs/sha256/ab/note.txt", f"blobs/sha256/00/{digest[7:]}x", "blobs/sha256/README", "other"):
        obstore.put(raw, key, b"x")
    assert [blob.digest for blob in blobs.list()] == [digest]


def test_a_folder_copied_to_an_object_store_is_the_same_store(tmp_path: Path) -> None:
    digest = FolderBlobs(tmp_path).put(b"data")
    assert read_blob(ObjectBlobs(LocalStore(tmp_path), "file://"), digest) == b"data"
