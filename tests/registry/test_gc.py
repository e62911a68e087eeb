"""gc takes what nothing needs, says why each thing stays or goes, and takes nothing from a publisher at work."""

import fcntl
import os
import threading
import time
from pathlib import Path

import pytest
from tests.registry.parts import interrupted
from tests.tiny import tiny_adapter

from lorarack.registry import GcReport, Parent, Registry, State, open_registry
from lorarack.registry.blobs.folder import FolderBlobs
from lorarack.registry.errors import Conflict, Damaged, StoreError, UsageError

HOUR_AGO = 3600


@pytest.fixture
def filled(registry: Registry, tmp_path: Path) -> Registry:
    """Versions 1 (default) to 4 of ``support``, of different content."""
    for seed in range(1, 5):
        registry.publish(tiny_adapter(tmp_path / f"{seed}", seed=seed), "support", base="tiny")
    return registry


def items(done: GcReport, kind: str = "version") -> dict[str, tuple[bool, str]]:
    return {item.name: (item.removed, item.reason) for item in done.items if item.kind == kind}


def files(registry: Registry) -> set[str]:
    return {path.name for path in (Path(registry.location) / "blobs" / "sha256").rglob("*") if path.is_file()}


def weights(registry: Registry, reference: str) -> str:
    version = next(v for v in registry.versions("support") if v.reference == reference)
    return next(file.digest for file in version.files if file.name.endswith(".safetensors"))


def test_only_what_is_archived_and_held_by_nothing_goes(filled: Registry, tmp_path: Path) -> None:
    """The configuration, which the other versions have too, stays."""
    filled.archive("support@2")
    filled.archive("support@3")
    filled.quarantine("support@4", "bad data")
    filled.lease(filled.versions("support")[2], "host:8000/1")
    digest = weights(filled, "support@2")
    done = filled.gc(grace_seconds=0)
    assert items(done)["support@1"] == (False, "it is ready; archive it to let it go")
    assert items(done)["support@2"] == (True, "it is archived and nothing holds it")
    goes, why = items(done)["support@3"]
    assert not goes
    assert why.startswith("it is in use by host:8000/1 until")
    assert "quarantined" in items(done)["support@4"][1]
    assert items(done, "blob") == {digest: (True, "no version has it")}
    assert done.freed == (tmp_path / "2" / "adapter_model.safetensors").stat().st_size
    assert [version.number for version in filled.versions("support")] == [1, 3, 4]
    for number in (1, 3, 4):
        filled.verify(f"support@{number}")
    event = filled.events(limit=1000)[-1]
    assert (event.kind, event.detail) == (
        "collected",
        {"versions": 1, "blobs": 1, "leftovers": 0, "evaluations": 0, "experiments": 0, "freed": done.freed},
    )
    filled.release("host:8000/1")
    assert items(filled.gc(grace_seconds=0))["support@3"][0]


def test_a_dry_run_says_the_same_and_changes_nothing(filled: Registry) -> None:
    filled.archive("support@2")
    filled.archive("support@4")
    before, there = filled.last_event_id(), files(filled)
    planned = filled.gc(dry_run=True, grace_seconds=0)
    assert (filled.last_event_id(), files(filled)) == (before, there)
    assert len(filled.versions("support")) == 4
    done = filled.gc(grace_seconds=0)
    assert done.items == planned.items
    assert (done.freed, done.removed("version"), done.removed("blob")) == (planned.freed, 2, 2)


def test_with_nothing_to_do_the_log_stays_as_it_is(filled: Registry) -> None:
    before = filled.last_event_id()
    assert not any(item.removed for item in filled.gc().items)
    assert filled.last_event_id() == before


def test_a_child_holds_its_parent_until_it_goes_too(registry: Registry, tmp_path: Path) -> None:
    registry.publish(tiny_adapter(tmp_path / "a", seed=1), "support", base="tiny")
    for name, parent in (("b", 1), ("c", 2), ("d", 3)):
        parents = [Parent(version=f"support@{parent}", relation="resized")]
        registry.publish(tiny_adapter(tmp_path / name, seed=ord(name)), "support", base="tiny", parents=parents)
    registry.archive("support@2")
    registry.archive("support@3")
    assert items(registry.gc())["support@3"] == (False, "it is the parent of support@4; delete that first")
    assert items(registry.gc())["support@2"] == (False, "it is the parent of support@3; delete that first")
    registry.archive("support@4")
    done = registry.gc()
    assert [name for name, (goes, _) in items(done).items() if goes] == ["support@4", "support@3", "support@2"]


def test_a_retention_rule_holds(filled: Registry) -> None:
    for number in (2, 3, 4):
        filled.archive(f"support@{number}")
    filled.set_retention("support", keep_last=2)
    assert [name for name, (goes, _) in items(filled.gc()).items() if goes] == ["support@2"]
    filled.set_retention("support", keep_days=30)
    assert "younger than 30 days" in items(filled.gc())["support@3"][1]
    with pytest.raises(Conflict, match="younger than 30 days"):
        filled.delete("support@3")
    filled.set_retention("support")
    assert filled.retention("support").keep_days is None
    assert items(filled.gc())["support@4"][0]


def test_an_alias_holds_also_what_was_quarantined_and_archived_under_it(filled: Registry) -> None:
    filled.quarantine("support@1", "bad data")
    with pytest.raises(Conflict, match="named by alias default"):
        filled.archive("support@1")
    assert not items(filled.gc())["support@1"][0]


def test_young_files_stay(filled: Registry) -> None:
    """Their publisher may not have written its version yet."""
    filled.archive("support@2")
    digest = weights(filled, "support@2")
    done = filled.gc(grace_seconds=600)
    assert items(done, "blob") == {
        digest: (False, "no version has it, but it is younger than 600 s: a publisher may be at work with it")
    }
    assert done.removed("version") == 1
    old = time.time() - HOUR_AGO
    os.utime(Path(filled.location) / "blobs" / "sha256" / digest[7:9] / digest[7:], (old, old))
    assert items(filled.gc(grace_seconds=600), "blob")[digest][0]


def test_what_a_killed_publisher_left_goes_and_what_a_living_one_writes_stays(filled: Registry) -> None:
    """However old: a slow disk may take longer over a file than any grace."""
    folder = Path(filled.location) / "blobs" / "sha256"
    (folder / ".new-dead").write_bytes(b"half")
    old = time.time() - HOUR_AGO
    with (folder / ".new-alive").open("wb") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        for name in (".new-dead", ".new-alive"):
            os.utime(folder / name, (old, old))
        assert filled.gc(grace_seconds=2 * HOUR_AGO).removed("leftover") == 0
        done = filled.gc(grace_seconds=60)
        assert items(done, "leftover") == {".new-dead": (True, "its writer is gone")}
        assert done.freed == 4
    assert (folder / ".new-alive").exists()


def test_a_blob_taken_before_its_version_is_written_is_put_again(filled: Registry, tmp_path: Path) -> None:
    """A publisher slower than the grace loses nothing: under the lock it sees that its file is gone, and stores it again."""
    taken: list[int] = []

    def collect() -> None:
        if not taken:
            taken.append(filled.gc(grace_seconds=0).removed("blob"))

    published = interrupted(filled, "add_version", collect).publish(
        tiny_adapter(tmp_path / "late", seed=50), "support", base="tiny"
    )
    assert taken == [1]
    assert filled.verify(published.version.reference).number == 5


@pytest.mark.parametrize("moment", ["add_version", "repair"])
def test_a_file_taken_while_a_damaged_version_is_repaired_is_put_again(
    filled: Registry, tmp_path: Path, moment: str
) -> None:
    """The repair brings a configuration that no version has yet: with no grace, ``gc`` may take it until it is written."""
    again = tiny_adapter(tmp_path / "again", seed=2, lora_dropout=0.25)
    path = (
        Path(filled.location)
        / "blobs"
        / "sha256"
        / weights(filled, "support@2")[7:9]
        / weights(filled, "support@2")[7:]
    )
    path.chmod(0o600)
    path.write_bytes(b"damaged")
    with pytest.raises(Damaged):
        filled.verify("support@2")
    taken: list[int] = []

    def collect() -> None:
        if not taken:
            taken.append(filled.gc(grace_seconds=0).removed("blob"))

    done = interrupted(filled, moment, collect).publish(again, "support", base="tiny")
    assert (done.created, done.version.reference) == (False, "support@2")
    assert filled.verify("support@2").state is State.READY
    assert taken == [1]


def test_a_publisher_whose_files_are_always_taken_is_told(
    filled: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FolderBlobs, "has", lambda *_: False)
    with pytest.raises(StoreError, match="run 'lorarack gc' with a longer grace"):
        filled.publish(tiny_adapter(tmp_path / "late", seed=50), "support", base="tiny")


def test_files_are_removed_only_while_nobody_can_write(filled: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that begins while gc removes a file is done after it."""
    filled.archive("support@2")
    done: list[str] = []
    delete = FolderBlobs.delete

    def slowly(blobs: FolderBlobs, digest: str, *, min_age: float) -> bool:
        writer.start()
        time.sleep(0.3)
        done.append("removed")
        return delete(blobs, digest, min_age=min_age)

    def write() -> None:
        with open_registry(Path(filled.location)) as other:
            other.archive("support@3")
            done.append("archived")

    writer = threading.Thread(target=write)
    monkeypatch.setattr(FolderBlobs, "delete", slowly)
    filled.gc(grace_seconds=0)
    writer.join()
    assert done == ["removed", "archived"]


def test_a_version_restored_while_gc_plans_stays(filled: Registry) -> None:
    filled.archive("support@2")
    done = interrupted(filled, "prune", lambda: filled.restore("support@2")).gc(grace_seconds=0)
    assert items(done)["support@2"] == (False, "it came into use, or went, meanwhile")
    assert done.freed == 0
    filled.verify("support@2")


def test_what_is_gone_is_gone_for_good(filled: Registry, tmp_path: Path) -> None:
    """Its number never comes again, and publishing its content again makes a whole version."""
    filled.archive("support@4")
    filled.gc(grace_seconds=0)
    again = filled.publish(tmp_path / "4", "support", base="tiny").version
    assert again.number == 5
    filled.verify("support@5")


@pytest.mark.parametrize("grace", [-1.0, float("nan"), float("inf")])
def test_a_grace_that_makes_no_sense_is_refused(grace: float, registry: Registry) -> None:
    with pytest.raises(UsageError, match="give 0 or more"):
        registry.gc(grace_seconds=grace)


def test_damage_shows_in_verify_and_stays(filled: Registry) -> None:
    """Publishing again is what mends it; gc leaves it to those who look into it."""
    digest = weights(filled, "support@3")
    path = Path(filled.location) / "blobs" / "sha256" / digest[7:9] / digest[7:]
    path.chmod(0o644)
    path.write_bytes(b"damage")
    with pytest.raises(Damaged, match=r"support@3 is damaged and now out of use"):
        filled.verify("support@3")
    assert not items(filled.gc(grace_seconds=0))["support@3"][0]


def test_every_version_has_its_fate(filled: Registry) -> None:
    filled.archive("support@2")
    named = [item.name for item in filled.gc(dry_run=True).items if item.kind == "version"]
    assert sorted(named) == [f"support@{number}" for number in range(1, 5)]
