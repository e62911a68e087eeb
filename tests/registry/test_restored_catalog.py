"""A catalog that was brought back from a copy, made anew, moved or deleted under somebody who follows it."""

import shutil
import sqlite3
from pathlib import Path

import pytest
from tests.tiny import tiny_adapter, tiny_base

from lorarack.registry import Registry, open_registry
from lorarack.registry.errors import StoreError


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def following(tmp_path: Path, home: Path) -> Registry:
    registry = open_registry(home)
    registry.add_base(str(tiny_base(tmp_path / "base")), "tiny")
    registry.publish(tiny_adapter(tmp_path / "one", seed=1), "support", base="tiny")
    return registry


def database(home: Path) -> Path:
    (found,) = (path for path in home.iterdir() if path.name.endswith((".db", ".sqlite", ".sqlite3")))
    return found


def copy(home: Path, place: Path) -> Path:
    with sqlite3.connect(database(home)) as source, sqlite3.connect(place) as target:
        source.backup(target)
    return place


def put_back(place: Path, home: Path) -> None:
    there = database(home)
    place.rename(there)
    for end in ("-wal", "-shm"):
        there.with_name(there.name + end).unlink(missing_ok=True)


def test_brought_back_with_as_many_changes_as_before(tmp_path: Path, home: Path, following: Registry) -> None:
    kept = copy(home, tmp_path / "copy")
    following.publish(tiny_adapter(tmp_path / "two", seed=2), "support", base="tiny")
    before = following.snapshot()
    put_back(kept, home)
    with open_registry(home) as other:
        other.publish(tiny_adapter(tmp_path / "three", seed=3), "support", base="tiny")
    after = following.snapshot(before)
    assert after.changes == before.changes
    old, new = before.find("support", 2), after.find("support", 2)
    assert old is not None
    assert new is not None
    assert old.engine_id == new.engine_id, "numbers are given anew"
    assert old.digest != new.digest
    assert following.resolve("support@2").digest == new.digest


def test_brought_back_and_not_written_since(tmp_path: Path, home: Path, following: Registry) -> None:
    kept = copy(home, tmp_path / "copy")
    following.publish(tiny_adapter(tmp_path / "two", seed=2), "support", base="tiny")
    before = following.snapshot()
    put_back(kept, home)
    after = following.snapshot(before)
    assert after.find("support", 1) is not None
    assert after.find("support", 2) is None
    published = following.publish(tiny_adapter(tmp_path / "four", seed=4), "support", base="tiny").version
    assert published.number == 2
    with open_registry(home) as other:
        assert other.resolve("support@2").digest == published.digest, "written to the file that is there now"


def test_a_home_replaced_by_another(tmp_path: Path, home: Path, following: Registry) -> None:
    before = following.snapshot()
    with open_registry(tmp_path / "new") as made:
        made.add_base(str(tiny_base(tmp_path / "base")), "tiny")
        made.publish(tiny_adapter(tmp_path / "five", seed=5), "support", base="tiny")
    home.rename(tmp_path / "old")
    (tmp_path / "new").rename(home)
    after = following.snapshot(before)
    old, new = before.find("support", 1), after.find("support", 1)
    assert old is not None
    assert new is not None
    assert old.digest != new.digest


def test_deleted_is_an_error_and_makes_no_empty_one(tmp_path: Path, home: Path, following: Registry) -> None:
    before = following.snapshot()
    kept = copy(home, tmp_path / "copy")
    name = database(home)
    for path in home.glob(f"{name.name}*"):
        path.unlink()
    for _ in range(2):
        with pytest.raises(StoreError, match="bring it back"):
            following.snapshot(before)
    assert not name.exists()
    kept.rename(name)
    assert following.snapshot(before) == before
    shutil.rmtree(home)
    with pytest.raises(StoreError, match="bring it back"):
        following.publish(tmp_path / "one", "support", base="tiny")
