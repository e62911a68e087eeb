"""The engine only ever reads copies that were verified, under a path that holds one digest for ever."""

import shutil
import threading
from pathlib import Path

import pytest
from tests.tiny import tiny_adapter, tiny_base

from lorarack.registry import Registry, Version, open_registry
from lorarack.registry.errors import StoreError
from lorarack.server.local_cache import LocalCache


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


def test_the_copy_is_made_once_and_found_again_by_another_process(
    tmp_path: Path, registry: Registry, published: Version
) -> None:
    fetcher = CountingFetcher(registry)
    place = LocalCache(tmp_path / "cache", fetcher).path_of(published)
    assert (place / "adapter_model.safetensors").is_file()
    assert place.name == published.digest.removeprefix("sha256:")
    assert LocalCache(tmp_path / "cache", fetcher).path_of(published) == place
    assert fetcher.count == 1


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "adapter_config.json"])
@pytest.mark.parametrize("how", ["changed", "missing"])
def test_a_damaged_copy_is_replaced_before_the_engine_sees_it(
    tmp_path: Path, registry: Registry, published: Version, name: str, how: str
) -> None:
    cache = tmp_path / "cache"
    place = LocalCache(cache, registry).path_of(published)
    good = (place / name).read_bytes()
    (place / name).unlink()
    if how == "changed":
        (place / name).write_bytes(good[:-1] + b"x")
    assert LocalCache(cache, registry).path_of(published) == place
    assert (place / name).read_bytes() == good
    assert sorted(entry.name for entry in cache.iterdir()) == [place.name], "nothing is left over"


def test_a_damaged_registry_gives_no_copy(tmp_path: Path, registry: Registry, published: Version) -> None:
    shutil.rmtree(tmp_path / "home" / "blobs")
    with pytest.raises(StoreError, match="is not at"):
        LocalCache(tmp_path / "cache", registry).path_of(published)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_cache_that_cannot_be_written_is_one_sentence(tmp_path: Path, registry: Registry, published: Version) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(StoreError, match="cannot be used"):
        LocalCache(tmp_path / "cache", registry).path_of(published)


def test_many_caches_over_one_folder_race_to_the_same_copy(
    tmp_path: Path, registry: Registry, published: Version
) -> None:
    """As several API processes do at their first request."""
    found: list[Path] = []
    threads = [
        threading.Thread(target=lambda: found.append(LocalCache(tmp_path / "cache", registry).path_of(published)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
