"""States, leases and retention: who may still use a version, and what keeps it."""

from pathlib import Path

import pytest
from tests.tiny import tiny_adapter

from lorarack.registry import Registry, State
from lorarack.registry.errors import Conflict, Damaged, NotFound, UsageError


@pytest.fixture
def filled(registry: Registry, tmp_path: Path) -> Registry:
    """Versions 1 (default), 2 and 3 of ``support``."""
    for seed in range(3):
        registry.publish(tiny_adapter(tmp_path / f"{seed}", seed=seed), "support", base="tiny")
    return registry


def test_an_archived_version_resolves_by_number_and_digest_only(filled: Registry) -> None:
    archived = filled.archive("support@3", "the second is better")
    assert (archived.state, archived.state_reason) == (State.ARCHIVED, "the second is better")
    assert filled.resolve("support@latest").number == 2
    assert filled.resolve("support@3").number == 3
    assert filled.resolve(f"support@{archived.digest}").number == 3
    with pytest.raises(Conflict, match="support@3 is archived; an alias can only name a ready version"):
        filled.set_alias("support", "prod", 3)
    restored = filled.restore("support@3")
    assert (restored.state, restored.state_reason) == (State.READY, None)
    assert filled.resolve("support@latest").number == 3


def test_a_quarantined_version_never_resolves_whatever_names_it(filled: Registry) -> None:
    filled.quarantine("support@1", "trained on test data")
    for reference in ("support", "support@1", "support@default"):
        with pytest.raises(Conflict, match=r"support@1 is quarantined \(trained on test data\); ask for another"):
            filled.resolve(reference)
    with pytest.raises(UsageError, match="Say why it is quarantined"):
        filled.quarantine("support@2", "  ")
    assert filled.restore("support@1").state is State.READY
    assert filled.resolve("support").number == 1


def test_every_change_of_state_is_in_the_log_once(filled: Registry) -> None:
    filled.archive("support@2", "old")
    filled.archive("support@2", "old")
    filled.restore("support@2")
    kinds = [(event.kind, event.version, event.detail) for event in filled.events()[-2:]]
    assert kinds == [("archived", 2, {"reason": "old"}), ("ready", 2, {"reason": None})]


@pytest.mark.parametrize("reference", ["support", "support@latest", "support@default", "support@r4"])
def test_a_reference_that_moves_changes_no_state(reference: str, filled: Registry) -> None:
    for change in (filled.archive, filled.restore):
        with pytest.raises(UsageError, match="name the version itself"):
            change(reference)


def test_what_a_server_uses_is_not_deleted_but_can_be_retired(filled: Registry) -> None:
    """Archived or quarantined, the server drops it and lets go; until then it stays."""
    second, third = filled.versions("support")[1:]
    filled.lease([second, third], "host:8000/1")
    filled.lease(second, "host:8001/2")
    with pytest.raises(Conflict, match="support@2 is in use by host:8000/1 until"):
        filled.delete("support@2")
    filled.archive("support@2")
    filled.quarantine("support@2", "bad data")
    filled.release("host:8000/1", second)
    with pytest.raises(Conflict, match="in use by host:8001/2"):
        filled.delete("support@2")
    filled.release("host:8001/2")
    filled.delete("support@2")
    with pytest.raises(Conflict, match="in use by host:8000/1"):
        filled.delete("support@3")
    filled.release("host:8000/1")
    filled.delete("support@3")


def test_leases_of_what_is_gone_are_ignored_unless_all_is_gone(filled: Registry) -> None:
    _, second, third = filled.versions("support")
    filled.delete("support@3")
    filled.lease([third, second], "host:8000/1")
    filled.release("host:8000/1", third)
    with pytest.raises(NotFound):
        filled.lease(third, "host:8000/1")


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), 86401])
def test_a_lease_has_a_sensible_end(seconds: float, filled: Registry) -> None:
    """One that dies with its server must not hold for ever."""
    with pytest.raises(UsageError, match="give up to a day"):
        filled.lease(filled.versions("support")[0], "host:8000/1", seconds)


def test_leases_leave_no_trace_in_the_log(filled: Registry) -> None:
    """They are renewed all the time; those who follow must not be woken by them."""
    before = filled.last_event_id()
    filled.lease(filled.versions("support")[0], "host:8000/1")
    filled.release("host:8000/1")
    assert filled.last_event_id() == before


@pytest.mark.parametrize("rule", [{"keep_last": 0}, {"keep_days": -1}, {"keep_last": 10**9}])
def test_a_rule_that_makes_no_sense_is_refused(rule: dict[str, int], filled: Registry) -> None:
    with pytest.raises(UsageError, match="cannot be a retention rule"):
        filled.set_retention("support", **rule)
    for name in ("suport", "tiny"):
        with pytest.raises(NotFound, match=f"There is no adapter '{name}'"):
            filled.set_retention(name, keep_last=1)
        with pytest.raises(NotFound, match=f"There is no adapter '{name}'"):
            filled.retention(name)


def test_a_rule_is_kept_shown_and_in_the_log(filled: Registry) -> None:
    assert filled.retention("support").to_json() == {"keep_last": None, "keep_days": None}
    filled.set_retention("support", keep_last=2, keep_days=30)
    assert filled.retention("support").to_json() == {"keep_last": 2, "keep_days": 30}
    event = filled.events()[-1]
    assert (event.kind, event.detail) == ("retention_set", {"keep_last": 2, "keep_days": 30})


def test_what_is_damaged_is_out_of_use_until_it_is_published_again(filled: Registry, tmp_path: Path) -> None:
    version = filled.versions("support")[1]
    digest = next(file.digest for file in version.files if file.name.endswith(".safetensors")).removeprefix("sha256:")
    blob = Path(filled.location) / "blobs" / "sha256" / digest[:2] / digest
    blob.chmod(0o644)
    blob.write_bytes(b"damage")
    with pytest.raises(Damaged, match="support@2 is damaged and now out of use"):
        filled.verify("support@2")
    with pytest.raises(Conflict, match="is damaged"):
        filled.fetch("support@2", tmp_path / "out")
    assert not filled.publish(tmp_path / "1", "support", base="tiny").created
    assert filled.verify("support@2").state is State.READY
