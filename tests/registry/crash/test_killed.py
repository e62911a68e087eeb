"""Publishers and ``gc`` are killed at every step: what was acknowledged is whole, nothing is half-there, and gc cleans the rest."""

import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lorarack.registry import Registry, State, open_registry

ROOT = Path(__file__).parents[3]


def run(home: Path, scratch: Path, kind: str) -> dict[str, Any]:
    scratch.mkdir()
    command = [sys.executable, "-m", "tests.registry.crash.forks", str(home), str(scratch), kind]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["errors"] == []
    return found


def check_whole(registry: Registry, acknowledged: list[list[str]]) -> None:
    """Every acknowledged version is there and whole; so is every other; the log tells of exactly these."""
    versions = {v.reference: v for adapter in registry.adapters() for v in registry.versions(adapter.name)}
    assert set(map(tuple, acknowledged)) <= {(v.reference, v.digest) for v in versions.values()}
    for version in versions.values():
        registry.verify(version.reference)
        assert version.state is State.READY
        assert version.tags == {"by": "victim"}
        assert version.metric("loss", "validation") is not None
    events = registry.events(limit=100_000)
    published = [f"{event.adapter}@{event.version}" for event in events if event.kind == "published"]
    assert sorted(published) == sorted(versions)
    for adapter in registry.adapters():
        numbers = [v.number for v in versions.values() if v.adapter == adapter.name]
        assert sorted(numbers) == list(range(1, len(numbers) + 1)), (
            "a number is given out with its version or not at all"
        )
        assert adapter.aliases == {"default": 1}
        assert len(registry.alias_history(adapter.name)) == 1


def check_clean(registry: Registry) -> None:
    """After gc the files on the disk are those of the versions, and the database is sound."""
    registry.gc(grace_seconds=0)
    wanted = {
        file.digest.removeprefix("sha256:")
        for adapter in registry.adapters()
        for version in registry.versions(adapter.name)
        for file in version.files
    }
    there = {path.name for path in (Path(registry.location) / "blobs" / "sha256").rglob("*") if path.is_file()}
    assert there == wanted
    database = sqlite3.connect(Path(registry.location) / "catalog.sqlite")
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert database.execute("PRAGMA foreign_key_check").fetchall() == []
    database.close()


@pytest.mark.system
def test_publishers_killed_anywhere_lose_nothing_that_was_acknowledged(home: Path, tmp_path: Path) -> None:
    """A hundred publishers and twenty gcs die at random moments."""
    found = run(home, tmp_path / "scratch", "100")
    assert found["killed"] == 120
    assert len(found["acknowledged"]) > 20, "or they were killed before they had done anything"
    with open_registry(home) as registry:
        check_whole(registry, found["acknowledged"])
        check_clean(registry)


@pytest.mark.system
def test_publishers_killed_at_each_step_leave_all_or_nothing(home: Path, tmp_path: Path) -> None:
    """Before every touch of a file, every fsync, every statement and every commit: of a first version, a next one, one again."""
    found = run(home, tmp_path / "scratch", "steps")
    assert found["killed"] >= 100
    assert min(found["each"].values()) >= 25
    with open_registry(home) as registry:
        check_whole(registry, found["acknowledged"])
        check_clean(registry)
