"""What every store of blobs keeps to under many threads."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.registry.contract.blob_stores import DATA, LARGE, digest_of, digests, opened

from lorarack.registry.blobs.blob import check_blob, read_blob
from lorarack.registry.errors import Damaged, StoreError
from lorarack.registry.interface import BlobStore


def test_many_writers_of_one_content_agree(store: BlobStore, tmp_path: Path) -> None:
    """Nobody ever reads a half, and nobody fails because somebody else was first."""

    def work(writer: int) -> bytes:
        with opened(tmp_path / f"source-{writer}", DATA) as source:
            return [read_blob(store, store.put(source if turn % 2 else DATA)) for turn in range(10)][-1]

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(4))) == [DATA] * 4
    assert digests(store) == [digest_of(DATA)]


def test_many_writers_of_large_and_different_contents(store: BlobStore, tmp_path: Path) -> None:
    def work(writer: int) -> str:
        with opened(tmp_path / f"source-{writer}", bytes([writer % 2]) + LARGE) as source:
            return store.put(source)

    with ThreadPoolExecutor(4) as pool:
        written = list(pool.map(work, range(4)))
    assert sorted(set(written)) == digests(store)
    assert len(set(written)) == 2
    for digest in set(written):
        check_blob(store, digest)


def whole_or_missing(read: Callable[[], bytes]) -> bytes | None:
    """What was read; None: the store said that it is missing, which is no damage."""
    try:
        return read()
    except StoreError as error:
        if error.code != "missing" or isinstance(error, Damaged):
            raise
        return None


def test_deletion_under_readers_never_shows_other_bytes(store: BlobStore) -> None:
    """Who reads while it is deleted reads on, or is told that it is gone."""
    digest = store.put(LARGE)
    with store.open(digest) as reader:
        start = reader.read(1000)
        store.delete(digest)
        rest = whole_or_missing(reader.read)
    assert rest is None or start + rest == LARGE
    with pytest.raises(StoreError, match="is not at"), store.open(digest):
        pass


def test_readers_beside_writers_and_deletions(store: BlobStore) -> None:
    """A reader gets the whole blob or is told that it is not there, never a part of it."""
    digest = digest_of(DATA)
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            store.put(DATA)
            store.delete(digest)

    def read(_: int) -> set[bytes | None]:
        return {whole_or_missing(lambda: read_blob(store, digest)) for _ in range(60)}

    with ThreadPoolExecutor(3) as pool:
        writing = pool.submit(write)
        try:
            assert set().union(*pool.map(read, range(2))) <= {DATA, None}
        finally:
            stop.set()
        writing.result()
