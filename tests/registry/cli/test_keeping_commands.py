"""Commands that keep or let go: states, retention, verify and gc."""

import json
from pathlib import Path

import pytest
from tests.command_line import lorarack
from tests.tiny import tiny_adapter

from lorarack.registry import Registry, open_registry


@pytest.fixture
def home(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Versions 1 (default), 2 and 3 of ``support``."""
    monkeypatch.setenv("LORARACK_REGISTRY", str(Path(registry.location)))
    monkeypatch.setenv("COLUMNS", "160")
    for seed in range(3):
        registry.publish(tiny_adapter(tmp_path / f"{seed}", seed=seed), "support", base="tiny")
    return Path(registry.location)


def damage(home: Path, reference: str) -> Path:
    files = lorarack("show", reference, "--json").json()["files"]
    digest = files[1]["digest"].removeprefix("sha256:")
    blob = home / "blobs" / "sha256" / digest[:2] / digest
    blob.chmod(0o644)
    blob.write_bytes(b"damage")
    return blob


def test_states(home: Path) -> None:
    archived = lorarack("archive", "support@3", "--reason", "the [second] is better", "--json").json()
    assert (archived["reference"], archived["adapter"], archived["version"]) == ("support@3", "support", 3)
    assert (archived["state"], archived["reason"]) == ("archived", "the [second] is better")
    assert lorarack("archive", "support@2", "--reason", "[b]old").out == "support@2 is archived: [b]old\n"
    assert lorarack("restore", "support@2").out == "support@2 is ready\n"
    assert lorarack("quarantine", "support@2", "--reason", "bad data").out == "support@2 is quarantined: bad data\n"
    assert lorarack("show", "support@3", "--json").json()["state"] == "archived"


def test_retention(home: Path) -> None:
    assert lorarack("retention", "support").out == "support has no retention rule\n"
    made = lorarack("retention", "support", "--keep-last", 2, "--keep-days", 30, "--json").json()
    assert made == {"name": "support", "keep_last": 2, "keep_days": 30}
    shown = lorarack("retention", "support").out
    assert shown == "support keeps of its versions the newest 2 and those younger than 30 days\n"
    assert lorarack("retention", "support", "--none").out == "support has no retention rule\n"


def test_verify(home: Path) -> None:
    assert lorarack("verify", "support").out.startswith("support@1 is whole (")
    assert lorarack("verify", "support@2", "--json").json()["whole"] is True
    assert "support@3" in lorarack("verify", "--all").out
    damage(home, "support@2")
    answer = lorarack("verify", "--all", "--json")
    assert answer.code == 1
    assert [(found["reference"], found["whole"]) for found in json.loads(answer.out)] == [
        ("support@1", True),
        ("support@2", False),
        ("support@3", True),
    ]
    error = json.loads(answer.err)["error"]
    assert error["code"] == "damaged"
    assert error["message"].startswith("1 of 3 versions are damaged and out of use: support@2; publish")
    alone = lorarack("verify", "support@2")
    assert (alone.code, alone.out) == (1, "")
    assert "support@2 is damaged and now out of use" in alone.err


def test_verify_of_an_empty_registry(tmp_path: Path) -> None:
    where = ["--registry", tmp_path / "new"]
    open_registry(tmp_path / "new").close()
    assert lorarack("verify", "--all", *where).out == "There are no versions yet.\n"
    assert lorarack("verify", "--all", "--json", *where).json() == []


def test_gc_says_what_stays_and_goes(home: Path) -> None:
    lorarack("archive", "support@2")
    lorarack("archive", "support@3")
    lorarack("retention", "support", "--keep-last", 1)
    planned = lorarack("gc", "--dry-run", "--grace", 0, "--json").json()
    assert (planned["dry_run"], planned["freed"] > 0) == (True, True)
    items = {item["name"]: (item["kind"], item["removed"]) for item in planned["items"]}
    assert [items[f"support@{number}"] for number in (1, 2, 3)] == [
        ("version", False),
        ("version", True),
        ("version", False),
    ]
    shown = lorarack("gc", "--dry-run", "--grace", 0).out
    for part in ("support@2", "removed", "nothing holds it", "among the newest 1", "blob", "Would free"):
        assert part in shown
    assert "support@1" not in shown, "what is simply ready is counted, not listed"
    done = lorarack("gc", "--grace", 0).out
    assert done.splitlines()[-1].startswith("Freed ")
    assert done.splitlines()[-1].endswith("1 version, 1 blob, 0 leftovers. Ready and kept: 1 version.")
    assert lorarack("gc", "--json").json()["freed"] == 0
    assert [version["version"] for version in lorarack("list", "support", "--json").json()] == [1, 3]


def test_gc_with_nothing_to_do_is_one_line(home: Path) -> None:
    answer = lorarack("gc")
    assert answer.out == "Freed 0 B: 0 versions, 0 blobs, 0 leftovers. Ready and kept: 3 versions.\n"
