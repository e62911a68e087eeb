"""What an engine reads was verified on its way to a file without a name; the cache may be damaged at any time."""

import json
import os
import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import IO

import pytest
from safetensors import safe_open
from tests.tiny import tiny_adapter, tiny_base

from lorarack.registry import Registry, Version, open_registry
from lorarack.registry.errors import EngineError, StoreError
from lorarack.server.adapter_copy import SCALINGS
from lorarack.server.local_cache import KeptCopies, LocalCache, recently_used


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    opened = open_registry(tmp_path / "home")
    opened.add_base(str(tiny_base(tmp_path / "base")), "tiny")
    return opened


@pytest.fixture
def published(tmp_path: Path, registry: Registry) -> Version:
    return registry.publish(tiny_adapter(tmp_path / "one"), "support", base="tiny").version


class CountingFetcher:
    """The registry's fetch, counted."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.count = 0

    def fetch(self, version: Version | str, folder: Path) -> Path:
        self.count += 1
        return self.registry.fetch(version, folder)


def scalings(copy: IO[bytes]) -> dict[str, list[float]]:
    with safe_open(f"/proc/self/fd/{copy.fileno()}", framework="np") as file:
        found: dict[str, list[float]] = json.loads(file.metadata()[SCALINGS])
        return found


def tensors(path: Path | str) -> dict[str, bytes]:
    with safe_open(path, framework="np") as file:
        return {name: file.get_tensor(name).tobytes() for name in file.keys()}  # noqa: SIM118 - no mapping


def same(copy: IO[bytes], published: Path) -> bool:
    return tensors(f"/proc/self/fd/{copy.fileno()}") == tensors(published / "adapter_model.safetensors")


def test_it_is_fetched_once_and_found_again_by_another_process(
    tmp_path: Path, registry: Registry, published: Version
) -> None:
    fetcher = CountingFetcher(registry)
    for _ in range(2):
        with LocalCache(tmp_path / "cache", fetcher).open_copy(published) as copy:
            assert same(copy, tmp_path / "one")
            assert all(found == [published.rank, published.alpha / published.rank] for found in scalings(copy).values())
    assert fetcher.count == 1


def test_the_copy_has_no_name_and_outlives_the_cache(tmp_path: Path, registry: Registry, published: Version) -> None:
    cache = LocalCache(tmp_path / "cache", registry)
    with cache.open_copy(published) as copy:
        assert os.fstat(copy.fileno()).st_nlink == 0
        for file in (tmp_path / "cache").rglob("*.safetensors"):
            file.write_bytes(b"")
        shutil.rmtree(tmp_path / "cache")
        assert same(copy, tmp_path / "one")


def damage(file: Path, how: str) -> None:
    good = file.read_bytes()
    match how:
        case "changed":
            file.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
        case "cut short":
            file.write_bytes(good[: len(good) // 2])
        case "empty":
            file.write_bytes(b"")
        case "missing":
            file.unlink()
        case "a link":
            file.rename(file.with_suffix(".away"))
            file.symlink_to(file.with_suffix(".away"))
        case "a pipe":
            file.unlink()
            os.mkfifo(file)
        case "a folder":
            file.unlink()
            file.mkdir()
        case "a long header":
            file.write_bytes(b"\xff" * 8 + good[8:])


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "adapter_config.json"])
@pytest.mark.parametrize(
    "how", ["changed", "cut short", "empty", "missing", "a link", "a pipe", "a folder", "a long header"]
)
def test_what_is_damaged_is_fetched_again_also_by_a_process_that_has_read_it(
    tmp_path: Path, registry: Registry, published: Version, name: str, how: str
) -> None:
    fetcher = CountingFetcher(registry)
    cache = LocalCache(tmp_path / "cache", fetcher)
    cache.open_copy(published).close()
    (place,) = (tmp_path / "cache").iterdir()
    damage(place / name, how)
    with cache.open_copy(published) as copy:
        assert same(copy, tmp_path / "one")
    assert fetcher.count == 2
    assert [entry.name for entry in (tmp_path / "cache").iterdir()] == [place.name], "nothing is left over"
    cache.open_copy(published).close()
    assert fetcher.count == 2, "it is whole again"


def test_a_damaged_registry_gives_no_copy(tmp_path: Path, registry: Registry, published: Version) -> None:
    shutil.rmtree(tmp_path / "home" / "blobs")
    with pytest.raises(StoreError, match="is not at"):
        LocalCache(tmp_path / "cache", registry).open_copy(published)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_cache_that_cannot_be_written_is_one_sentence(tmp_path: Path, registry: Registry, published: Version) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(StoreError, match="cannot be used"):
        LocalCache(tmp_path / "cache", registry).open_copy(published)


def test_many_caches_over_one_folder_race(tmp_path: Path, registry: Registry, published: Version) -> None:
    """As several API processes do at their first request."""
    found: list[bool] = []

    def load() -> None:
        with LocalCache(tmp_path / "cache", registry).open_copy(published) as copy:
            found.append(same(copy, tmp_path / "one"))

    threads = [threading.Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 8


def test_patterns_that_take_for_ever_stop_nobody(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A version of a registry that accepted them once."""
    monkeypatch.setattr("lorarack.registry.artifact.validate._config_problems", lambda *_: [])
    monkeypatch.setattr("lorarack.registry.artifact.validate._number_problems", lambda *_: [])
    monkeypatch.setattr("lorarack.registry.artifact.adapter_config._pattern_problems", lambda *_: [])
    folder = tiny_adapter(tmp_path / "bomb")
    config = json.loads((folder / "adapter_config.json").read_text())
    config["alpha_pattern"] = {r"(.+)(.+)(.+)(.+)(.+)(.+)(.+)(.+)\3\4\5\6\7\8\9": 3.0}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    published = registry.publish(folder, "bomb", base="tiny").version
    started = time.monotonic()
    with pytest.raises(EngineError, match="patterns"):
        LocalCache(tmp_path / "cache", registry).open_copy(published)
    assert time.monotonic() - started < 15


def test_what_was_used_lately_is_known_to_the_next_start(
    tmp_path: Path, registry: Registry, published: Version
) -> None:
    """Used, not fetched: a copy that is there for long counts again once it is loaded."""
    cache = LocalCache(tmp_path / "cache", registry)
    assert recently_used(tmp_path / "cache") == frozenset()
    cache.open_copy(published).close()
    (place,) = (tmp_path / "cache").glob("[!.]*")
    assert recently_used(tmp_path / "cache") == {published.digest}
    os.utime(place, (0, 0))
    assert recently_used(tmp_path / "cache") == frozenset()
    cache.open_copy(published).close()
    assert recently_used(tmp_path / "cache") == {published.digest}


def test_a_copy_that_is_deleted_right_after_it_was_read_is_no_error(
    tmp_path: Path, registry: Registry, published: Version, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = LocalCache(tmp_path / "cache", registry)
    cache.open_copy(published).close()

    def gone(*_: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr("lorarack.server.local_cache.os.utime", gone)
    cache.open_copy(published).close()


def test_the_last_copies_are_kept_up_to_a_number_of_bytes(tmp_path: Path) -> None:
    """A kept one can be read, several times, when the caller's handle is gone; what is too large is not kept."""
    kept = KeptCopies(100)

    def keep(name: str, size: int = 40) -> None:
        with tempfile.TemporaryFile() as copy:
            copy.write(name.encode() * size)
            copy.flush()
            kept.keep(name, copy)

    def content(name: str) -> bytes | None:
        copy = kept.copy(name)
        if copy is None:
            return None
        with copy:
            return os.pread(copy.fileno(), 200, 0)

    for name in ("a", "b", "c"):
        keep(name)
    assert (content("a"), content("b"), content("b")) == (None, b"b" * 40, b"b" * 40)
    keep("x", 101)
    assert content("x") is None
    keep("d")
    assert (content("c"), content("b"), content("d")) == (None, b"b" * 40, b"d" * 40), "b was used after c"


def test_what_is_kept_is_neither_read_nor_verified_again(
    tmp_path: Path, registry: Registry, published: Version
) -> None:
    cache, fetcher = tmp_path / "cache", CountingFetcher(registry)
    local = LocalCache(cache, fetcher, keep_bytes=2**20)
    for _ in range(3):
        with local.open_copy(published) as copy:
            assert same(copy, tmp_path / "one")
        shutil.rmtree(cache, ignore_errors=True)
    assert fetcher.count == 1
