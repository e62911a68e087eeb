"""What every store of blobs keeps to; ``blob_stores`` lists them."""

import hashlib
import os
import time
from io import FileIO
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.registry.contract.blob_stores import DATA, LARGE, MISSING, Damage, digest_of, digests, opened

from lorarack.registry.blobs.blob import check_blob, copy_blob, read_blob
from lorarack.registry.errors import Damaged, LorarackError, StoreError, UsageError
from lorarack.registry.interface import BlobStore


def test_what_was_put_can_be_read(store: BlobStore, data: bytes, tmp_path: Path) -> None:
    assert not store.has(digest_of(data))
    with opened(tmp_path / "source", data) as source:
        assert store.put(source) == digest_of(data)
    assert store.has(digest_of(data))
    assert read_blob(store, digest_of(data)) == data
    check_blob(store, digest_of(data))


def test_bytes_and_a_file_of_them_are_one_blob(store: BlobStore, tmp_path: Path) -> None:
    with opened(tmp_path / "source", DATA) as source:
        assert store.put(DATA) == store.put(source) == store.put(source) == store.put(DATA) == digest_of(DATA)
    assert digests(store) == [digest_of(DATA)]


@pytest.mark.parametrize("data", [b"", b"\0", b"\n"])
def test_small_sources_are_blobs(store: BlobStore, data: bytes, tmp_path: Path) -> None:
    with opened(tmp_path / "source", data) as source:
        assert read_blob(store, store.put(source)) == data
    assert read_blob(store, store.put(data)) == data


def test_a_file_is_read_from_its_start(store: BlobStore, tmp_path: Path) -> None:
    with opened(tmp_path / "source", DATA) as source:
        source.seek(0, os.SEEK_END)
        assert store.put(source) == digest_of(DATA)


def test_a_reader_can_seek(store: BlobStore) -> None:
    """An adapter's header says where its tensors lie."""
    with store.open(store.put(LARGE)) as reader:
        assert reader.seek(0, os.SEEK_END) == len(LARGE)
        assert reader.read() == b""
        for start in (0, 7 * 2**20 + 5, 3, len(LARGE) - 4):
            reader.seek(start)
            assert (reader.tell(), reader.read(1000)) == (start, LARGE[start : start + 1000])
        reader.seek(-3, os.SEEK_CUR)
        assert reader.read() == LARGE[-3:]


def test_a_pipe_is_no_source(store: BlobStore, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with FileIO(os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)) as pipe, pytest.raises(StoreError):
        store.put(pipe)
    assert digests(store) == []


def test_a_source_that_changes_is_stored_as_it_was_read(store: BlobStore, tmp_path: Path) -> None:
    """Whatever was read, its digest is the digest of what is stored."""

    class Changing(FileIO):
        def read(self, size: int | None = -1) -> bytes:
            data = super().read(-1 if size is None else size) or b""
            with (tmp_path / "source").open("r+b") as other:
                other.write(os.urandom(64))
                other.truncate(len(LARGE) - 2**20)  # shorter than it was
            return data

    (tmp_path / "source").write_bytes(LARGE)
    with Changing(tmp_path / "source") as source:
        digest = store.put(source)
    assert digests(store) == [digest]
    assert digest != digest_of(LARGE)
    check_blob(store, digest)


def test_a_check_sees_the_copy_before_it_is_a_blob(store: BlobStore, data: bytes, tmp_path: Path) -> None:
    seen: list[object] = []

    def check(copy: FileIO) -> None:
        (tmp_path / "source").write_bytes(b"")  # the source no longer counts
        seen.append(store.has(digest_of(data)))
        seen.append(os.fstat(copy.fileno()).st_size)
        copy.seek(0)
        seen.append(hashlib.sha256(copy.readall()).hexdigest())

    with opened(tmp_path / "source", data) as source:
        digest = store.put(source, check)
    assert seen == [False, len(data), digest.removeprefix("sha256:")]
    assert read_blob(store, digest) == data


def test_what_a_check_refuses_is_not_stored(store: BlobStore, data: bytes, tmp_path: Path) -> None:
    def check(_: FileIO) -> None:
        raise UsageError("not this one")

    with opened(tmp_path / "source", data) as source, pytest.raises(UsageError, match="not this one"):
        store.put(source, check)
    with pytest.raises(UsageError, match="not this one"):
        store.put(data, check)
    assert not store.has(digest_of(data))
    assert digests(store) == []


def test_a_copy_has_the_same_bytes_and_never_replaces_a_file(store: BlobStore, data: bytes, tmp_path: Path) -> None:
    digest = store.put(data)
    copy_blob(store, digest, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == data
    (tmp_path / "copy").write_text("mine")
    with pytest.raises(StoreError):
        copy_blob(store, digest, tmp_path / "copy")
    assert (tmp_path / "copy").read_text() == "mine"


def test_a_missing_blob_is_named_and_is_no_damage(store: BlobStore, tmp_path: Path) -> None:
    for read in (read_blob, check_blob, lambda store, digest: copy_blob(store, digest, tmp_path / "copy")):
        with pytest.raises(StoreError, match=f"{MISSING} is not at .* publish the version again") as raised:
            read(store, MISSING)
        assert (raised.value.code, raised.value.http_status) == ("missing", 503)
    assert not (tmp_path / "copy").exists()
    assert not store.has(MISSING)
    assert not store.delete(MISSING)


OTHER = {"flipped": b"x" + DATA[1:], "cut short": DATA[:10], "longer": DATA + b"x", "emptied": b""}


@pytest.mark.parametrize("how", OTHER)
def test_damage_is_found_on_reading_and_mended_by_putting_again(
    store: BlobStore, damage: Damage, how: str, tmp_path: Path
) -> None:
    digest = store.put(DATA)
    with opened(tmp_path / "source", DATA) as source:
        for again in (DATA, source):
            damage(digest, OTHER[how])
            for read in (read_blob, check_blob, lambda store, digest: copy_blob(store, digest, tmp_path / "copy")):
                with pytest.raises(Damaged, match=f"{digest} has other bytes than were stored"):
                    read(store, digest)
            assert not (tmp_path / "copy").exists()
            assert store.put(again) == digest
            check_blob(store, digest)


@pytest.mark.parametrize(
    "digest", ["", "sha256:", "sha256:../../../etc/passwd", "../x", "sha256:" + "A" * 64, MISSING + "\n"]
)
def test_what_is_no_digest_names_no_file(store: BlobStore, digest: str, tmp_path: Path) -> None:
    for use in (
        store.has,
        store.delete,
        lambda given: read_blob(store, given),
        lambda given: copy_blob(store, given, tmp_path / "copy"),
    ):
        with pytest.raises(LorarackError, match="is not a digest"):
            use(digest)
    assert not (tmp_path / "copy").exists()


def test_deleting_is_done_once_and_only_what_is_old_enough(store: BlobStore) -> None:
    digest, other = store.put(DATA), store.put(b"other")
    assert not store.delete(digest, min_age=60)
    assert store.has(digest)
    assert store.delete(digest)
    assert not store.delete(digest)
    assert not store.has(digest)
    assert digests(store) == [other]
    assert store.put(DATA) == digest
    assert store.has(digest)


def test_the_list_says_sizes_and_ages_in_the_order_of_digests(store: BlobStore) -> None:
    contents = [bytes([number]) * number for number in range(40)]
    for content in contents:
        store.put(content)
    listed = list(store.list())
    assert [(blob.digest, blob.bytes) for blob in listed] == sorted((digest_of(data), len(data)) for data in contents)
    assert all(0 <= blob.age < 60 for blob in listed)


def test_putting_again_makes_it_young(store: BlobStore, data: bytes, tmp_path: Path) -> None:
    digest = store.put(data)
    time.sleep(0.25)
    (before,) = store.list()
    with opened(tmp_path / "source", data) as source:
        store.put(source)
    (after,) = store.list()
    assert (before.age >= 0.2, after.age < before.age) == (True, True)
    for _ in range(20):
        time.sleep(0.25)
        put = time.monotonic()
        store.put(data)
        deleted = store.delete(digest, min_age=0.2)
        if time.monotonic() - put < 0.2:  # else the machine was too busy to tell
            break
    assert not deleted


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(contents=st.lists(st.binary(max_size=100), max_size=4))
def test_any_bytes_come_back(store: BlobStore, contents: list[bytes]) -> None:
    assert [read_blob(store, store.put(data)) for data in contents] == contents
