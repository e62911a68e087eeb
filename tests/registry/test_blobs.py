"""What every store of blobs must keep to, and what is a folder's own."""

import errno
import hashlib
import os
import resource
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lorarack.registry import disk as disk_module
from lorarack.registry.blobs.folder import FolderBlobs
from lorarack.registry.errors import Damaged, LorarackError, StoreError

DATA = b"weights" * 1000
DIGEST = f"sha256:{hashlib.sha256(DATA).hexdigest()}"
MISSING = "sha256:" + "0" * 64


class BlobStoreContract:
    """Another kind of store joins by a subclass with its own ``store``."""

    @pytest.fixture
    def store(self) -> FolderBlobs:
        raise NotImplementedError

    def test_what_was_put_can_be_read(self, store: FolderBlobs) -> None:
        assert store.put_bytes(DATA) == DIGEST
        assert store.read(DIGEST) == DATA

    def test_a_file_and_its_bytes_are_one_blob(self, store: FolderBlobs, tmp_path: Path) -> None:
        (tmp_path / "source").write_bytes(DATA)
        assert store.put_file(tmp_path / "source") == store.put_bytes(DATA) == DIGEST
        assert list(store) == [DIGEST]

    def test_an_empty_blob_is_a_blob(self, store: FolderBlobs) -> None:
        assert store.read(store.put_bytes(b"")) == b""

    def test_a_copy_has_the_same_bytes(self, store: FolderBlobs, tmp_path: Path) -> None:
        store.copy_to(store.put_bytes(DATA), tmp_path / "copy")
        assert (tmp_path / "copy").read_bytes() == DATA

    def test_a_copy_never_replaces_a_file(self, store: FolderBlobs, tmp_path: Path) -> None:
        (tmp_path / "there").write_text("mine")
        with pytest.raises(StoreError):
            store.copy_to(store.put_bytes(DATA), tmp_path / "there")
        assert (tmp_path / "there").read_text() == "mine"

    def test_a_missing_blob_is_named_and_is_no_damage(self, store: FolderBlobs, tmp_path: Path) -> None:
        for read in (lambda: store.read(MISSING), lambda: store.copy_to(MISSING, tmp_path / "copy")):
            with pytest.raises(StoreError, match=f"{MISSING} is not at .* publish the version again") as raised:
                read()
            assert (raised.value.code, raised.value.http_status) == ("missing", 503)
        assert not (tmp_path / "copy").exists()

    @pytest.mark.parametrize("digest", ["", "sha256:", "sha256:../../../etc/passwd", "../x", "sha256:" + "A" * 64])
    def test_what_is_no_digest_names_no_file(self, digest: str, store: FolderBlobs, tmp_path: Path) -> None:
        for use in (store.read, store.remove, lambda given: store.copy_to(given, tmp_path / "copy")):
            with pytest.raises(LorarackError, match="is not a digest"):
                use(digest)

    def test_removing_gives_back_the_bytes_once(self, store: FolderBlobs) -> None:
        store.put_bytes(DATA)
        assert store.remove(DIGEST) == len(DATA)
        assert store.remove(DIGEST) == 0
        assert list(store) == []

    def test_many_writers_of_one_content_agree(self, store: FolderBlobs) -> None:
        """Nobody ever reads a half, and nobody fails because somebody else was first."""

        def work(_: int) -> bytes:
            return [store.read(store.put_bytes(DATA)) for _ in range(20)][-1]

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(work, range(4))) == [DATA] * 4
        assert list(store) == [DIGEST]

    @settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(contents=st.lists(st.binary(max_size=100), max_size=5))
    def test_any_bytes_come_back(self, store: FolderBlobs, contents: list[bytes]) -> None:
        assert [store.read(store.put_bytes(data)) for data in contents] == contents


class TestFolderBlobs(BlobStoreContract):
    """The local folder."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> FolderBlobs:
        return FolderBlobs(tmp_path / "store")


@pytest.fixture
def store(tmp_path: Path) -> FolderBlobs:
    return FolderBlobs(tmp_path / "store")


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_a_blob_lies_under_its_digest_and_cannot_be_written(store: FolderBlobs, tmp_path: Path) -> None:
    digest = store.put_bytes(DATA).removeprefix("sha256:")
    path = tmp_path / "store" / "blobs" / "sha256" / digest[:2] / digest
    assert path.read_bytes() == DATA
    assert path.stat().st_mode & 0o222 == 0


def flip(path: Path) -> None:
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.chmod(0o644)
    os.truncate(path, 10)


@pytest.mark.parametrize("damage", [flip, cut])
def test_damage_is_found_on_reading_and_named(
    damage: Callable[[Path], None], store: FolderBlobs, tmp_path: Path
) -> None:
    store.put_bytes(DATA)
    damage(files_of(tmp_path / "store")[0])
    for read in (lambda: store.read(DIGEST), lambda: store.copy_to(DIGEST, tmp_path / "copy")):
        with pytest.raises(Damaged, match=f"{DIGEST} has other bytes than were stored"):
            read()
    assert not (tmp_path / "copy").exists()


def test_publishing_again_mends_a_damaged_blob(store: FolderBlobs, tmp_path: Path) -> None:
    store.put_bytes(DATA)
    flip(files_of(tmp_path / "store")[0])
    assert store.read(store.put_bytes(DATA)) == DATA


def test_a_folder_in_a_blobs_place_is_a_store_error(store: FolderBlobs, tmp_path: Path) -> None:
    store.put_bytes(DATA)
    path = files_of(tmp_path / "store")[0]
    path.unlink()
    path.mkdir()
    for read in (lambda: store.read(DIGEST), lambda: store.copy_to(DIGEST, tmp_path / "copy")):
        with pytest.raises(StoreError, match="is not a plain file"):
            read()
    with pytest.raises(StoreError):
        store.put_file(tmp_path)
    with pytest.raises(StoreError):
        store.remove(DIGEST)


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
    store.put_bytes(b"small")
    before = files_of(tmp_path / "store")
    with files_no_larger_than(1000):
        with pytest.raises(StoreError):
            store.put_bytes(DATA)
        with pytest.raises(StoreError):
            store.put_file(tmp_path / "source")
    assert files_of(tmp_path / "store") == before
    assert store.put_bytes(DATA) == DIGEST


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
        FolderBlobs(tmp_path / "file").put_bytes(DATA)


def test_a_writer_that_died_leaves_nothing_that_counts(store: FolderBlobs, tmp_path: Path) -> None:
    store.put_bytes(DATA)
    (tmp_path / "store" / "blobs" / "sha256" / ".new-abc").write_bytes(b"half")
    assert list(store) == [DIGEST]
