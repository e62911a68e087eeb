"""Damage is what was read and is not what was stored; a store that is away, and what people say, are other things."""

import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.command_line import lorarack
from tests.tiny import tiny_adapter

from lorarack.registry import Registry, State, Version, open_registry
from lorarack.registry.errors import Conflict, Damaged, StoreError

DUMP = Path(__file__).parent / "catalog" / "schema_0003.sql"


@pytest.fixture
def version(registry: Registry, tmp_path: Path) -> Version:
    registry.publish(tiny_adapter(tmp_path / "other", seed=8), "support", base="tiny")
    return registry.publish(tiny_adapter(tmp_path / "source", seed=9), "support", base="tiny").version


def blob(registry: Registry, version: Version, name: str = "adapter_model.safetensors") -> Path:
    digits = next(file.digest for file in version.files if file.name == name).removeprefix("sha256:")
    return Path(registry.location) / "blobs" / "sha256" / digits[:2] / digits


def spoil(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(b"x" + path.read_bytes()[1:])


def state(registry: Registry, version: Version) -> State:
    return registry.get_version(version.reference).state


@pytest.mark.parametrize(
    "reason",
    [
        "damaged: by hand",
        "damaged: ",
        "damaged",
        f"damaged: The stored file sha256:{'0' * 64} has other bytes than were stored; publish the version again from its source.",
    ],
)
@pytest.mark.parametrize("put_aside", ["quarantine", "archive"])
def test_what_somebody_put_aside_is_not_brought_back_by_publishing(
    registry: Registry, version: Version, tmp_path: Path, put_aside: str, reason: str
) -> None:
    getattr(registry, put_aside)(version.reference, reason)
    before = registry.get_version(version.reference)
    with pytest.raises(Conflict, match=r"These files are support@2, which is .* with 'lorarack restore support@2'"):
        registry.publish(tmp_path / "source", "support", base="tiny", tags={"new": "tag"})
    assert registry.get_version(version.reference) == before
    answer = lorarack(
        "publish", tmp_path / "source", "support", "--base", "tiny", "--registry", Path(registry.location)
    )
    assert (answer.code, answer.out) == (1, "")
    assert "lorarack restore support@2" in answer.err


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "adapter_config.json"])
def test_the_same_files_repair_what_is_damaged(registry: Registry, version: Version, tmp_path: Path, name: str) -> None:
    spoil(blob(registry, version, name))
    with pytest.raises(Damaged, match="support@2 is damaged and now out of use"):
        registry.fetch("support@2", tmp_path / "out")
    assert state(registry, version) is State.DAMAGED
    assert [event.kind for event in registry.events()][-1] == "damaged"
    done = registry.publish(tmp_path / "source", "support", base="tiny")
    assert not done.created
    assert done.version.state is State.READY
    assert "support@2 was damaged" in done.notes[-1]
    assert registry.verify("support@2") == registry.resolve("support@2")


def test_a_damaged_version_is_restored_only_when_its_files_are_whole(
    registry: Registry, version: Version, tmp_path: Path
) -> None:
    path = blob(registry, version)
    good = path.read_bytes()
    spoil(path)
    for bring_back in ("verify", "restore", "restore"):
        with pytest.raises(Damaged):
            getattr(registry, bring_back)("support@2")
        assert state(registry, version) is State.DAMAGED
    registry.archive("support@2", "of no use")
    with pytest.raises(Damaged, match=r"support@2 is damaged\. "):
        registry.restore("support@2")
    assert state(registry, version) is State.ARCHIVED
    path.write_bytes(good)
    assert registry.restore("support@2").state is State.READY


def test_damage_that_is_found_later_leaves_what_somebody_said(registry: Registry, version: Version) -> None:
    registry.quarantine("support@2", "says rude things")
    spoil(blob(registry, version))
    with pytest.raises(Damaged):
        registry.verify("support@2")
    found = registry.get_version("support@2")
    assert (found.state, found.state_reason) == (State.QUARANTINED, "says rude things")


def away(path: Path) -> None:
    path.rename(path.with_name("gone"))


def no_folder(path: Path) -> None:
    shutil.move(path.parents[2], path.parents[2].with_name("away"))


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to("/nonexistent/blob")


@pytest.mark.parametrize("lose", [away, no_folder, pipe, folder, dangling])
def test_what_cannot_be_read_is_not_damaged(
    registry: Registry, version: Version, tmp_path: Path, lose: Callable[[Path], None]
) -> None:
    changes = registry.last_event_id()
    lose(blob(registry, version))
    for use in (
        lambda: registry.fetch("support@2", tmp_path / "out"),
        lambda: registry.verify("support@2"),
        lambda: registry.diff("support@1", "support@2"),
        lambda: registry.export_to(tmp_path / "export"),
    ):
        with pytest.raises(StoreError) as raised:
            use()
        assert not isinstance(raised.value, Damaged)
        assert raised.value.http_status == 503
    assert (state(registry, version), registry.last_event_id()) == (State.READY, changes)
    answer = lorarack("verify", "--all", "--json", "--registry", Path(registry.location))
    assert answer.code == 1
    assert {found["reference"]: found["kind"] for found in json.loads(answer.out)}["support@2"] == "unreadable"
    registry.gc(grace_seconds=0)
    assert state(registry, version) is State.READY


def test_gc_passes_by_whatever_is_no_file(registry: Registry, version: Version) -> None:
    root = Path(registry.location) / "blobs" / "sha256"
    os.mkfifo(root / ".new-pipe")
    (root / ".new-folder").mkdir()
    (root / "ab").mkdir(exist_ok=True)
    os.mkfifo(root / "ab" / ("ab" * 32))
    (root / "ab" / ("cd" * 32)).mkdir()
    (root / "ab" / ("Z" * 64)).write_text("no digest")
    registry.gc(grace_seconds=0)
    assert registry.verify("support@2").state is State.READY


def test_old_quarantines_are_told_apart(tmp_path: Path) -> None:
    """By the registry's whole sentence about one of the version's own files, not by how a reason begins."""
    (tmp_path / "old").mkdir()
    database = sqlite3.connect(tmp_path / "old" / "catalog.sqlite")
    database.executescript(DUMP.read_text())
    rows = database.execute("SELECT id, files FROM versions ORDER BY id").fetchall()
    own = [json.loads(files)[0]["digest"] for _, files in rows]
    other = f"sha256:{'0' * 64}"
    sentence = "damaged: The stored file {} {}; publish the version again from its source."
    reasons = [
        sentence.format(own[0], "has other bytes than were stored"),
        sentence.format(own[1], "is missing"),
        sentence.format(other, "has other bytes than were stored"),
        "damaged: goods",
    ]
    assert len(rows) == len(reasons)
    for (row, _), reason in zip(rows, reasons, strict=True):
        database.execute("UPDATE versions SET state = 'quarantined', state_reason = ? WHERE id = ?", (reason, row))
    database.commit()
    database.close()
    with open_registry(tmp_path / "old") as registry:
        found = sorted(
            (version for adapter in registry.adapters() for version in registry.versions(adapter.name)),
            key=lambda version: version.engine_id,
        )
        assert [version.state for version in found] == [
            State.DAMAGED,
            State.DAMAGED,
            State.QUARANTINED,
            State.QUARANTINED,
        ]
        assert [version.state_reason for version in found] == [
            reasons[0].removeprefix("damaged: "),
            reasons[1].removeprefix("damaged: "),
            *reasons[2:],
        ]
