"""Aliases: who moved what where, when and why; and never by accident."""

from pathlib import Path

import pytest
from tests.tiny import tiny_adapter

from lorarack.registry import Registry, open_registry
from lorarack.registry.errors import Conflict, NotFound, UsageError


@pytest.fixture
def three(registry: Registry, tmp_path: Path) -> Registry:
    """A registry whose adapter ``support`` has three versions."""
    for seed in range(3):
        registry.publish(tiny_adapter(tmp_path / f"v{seed}", seed=seed), "support", base="tiny")
    return registry


def pointing(registry: Registry) -> dict[str, int]:
    return {alias.name: alias.version for alias in registry.aliases("support")}


def test_the_first_version_becomes_default_and_default_stays_there(three: Registry) -> None:
    (first,) = three.alias_history("support")
    assert (first.name, first.version, first.previous) == ("default", 1, None)
    assert first.reason == "first published version"
    assert pointing(three) == {"default": 1}


def test_a_move_is_kept_with_actor_time_and_reason(three: Registry, home: Path) -> None:
    moved = three.set_alias("support", "prod", 2, reason="lower loss")
    assert (moved.version, moved.previous, moved.reason) == (2, None, "lower loss")
    assert "@" in moved.actor
    with open_registry(home) as other:
        again = other.set_alias("support", "prod", 3)
    assert (again.version, again.previous, again.reason) == (3, 2, None)
    assert three.alias_history("support", "prod") == (moved, again)
    assert moved.moved_at <= again.moved_at
    assert again.moved_at.utcoffset() is not None
    assert pointing(three) == {"default": 1, "prod": 3}
    assert three.resolve("support@prod").aliases == ("prod",)


def test_a_move_to_where_it_stands_is_no_move(three: Registry) -> None:
    """Repeating a command changes nothing and does not look like a decision."""
    three.set_alias("support", "prod", 2, reason="lower loss")
    changes = three.last_event_id()
    for reason in (None, "lower loss"):
        assert three.set_alias("support", "prod", 2, reason=reason).reason == "lower loss"
    assert len(three.alias_history("support", "prod")) == 1
    assert three.last_event_id() == changes


def test_staying_for_a_new_reason_is_kept(three: Registry) -> None:
    """Somebody looked again and decided that it stays."""
    three.set_alias("support", "prod", 2, reason="lower loss")
    again = three.set_alias("support", "prod", 2, reason="still the best")
    assert (again.version, again.previous, again.reason) == (2, 2, "still the best")
    assert three.alias_history("support", "prod")[-1] == again


def test_an_expectation_that_does_not_hold_moves_nothing(three: Registry) -> None:
    """Two people decide at once: the second learns of the first."""
    with pytest.raises(Conflict, match="support@prod does not exist, not version 1; check it and retry") as raised:
        three.set_alias("support", "prod", 2, expect=1)
    assert raised.value.code == "stale_expect"
    three.set_alias("support", "prod", 2)
    with pytest.raises(Conflict, match="support@prod names version 2, not version 1"):
        three.set_alias("support", "prod", 3, expect=1)
    assert pointing(three)["prod"] == 2
    assert three.set_alias("support", "prod", 3, expect=2).version == 3


@pytest.mark.parametrize("version", [4, 0, -1, 2**31, 10**30])
def test_an_alias_names_only_what_is_there(version: int, three: Registry) -> None:
    with pytest.raises(NotFound, match=f"There is no version support@{version}"):
        three.set_alias("support", "prod", version)
    assert pointing(three) == {"default": 1}


@pytest.mark.parametrize("alias", ["latest", "sha256", "3", "r16", "Prod", "a/b", ""])
def test_a_name_that_means_something_else_is_refused(alias: str, three: Registry) -> None:
    with pytest.raises(UsageError, match="cannot be an alias"):
        three.set_alias("support", alias, 1)


def test_an_unknown_adapter_has_no_aliases(three: Registry) -> None:
    for ask in (
        lambda: three.aliases("suport"),
        lambda: three.alias_history("suport"),
        lambda: three.set_alias("suport", "prod", 1),
    ):
        with pytest.raises(NotFound, match=r"no adapter 'suport'\. Did you mean 'support'\?"):
            ask()
    with pytest.raises(NotFound, match="has never had an alias 'prod'"):
        three.alias_history("support", "prod")


def test_a_reason_that_could_not_be_given_back_is_refused(three: Registry) -> None:
    with pytest.raises(UsageError, match="not valid UTF-8"):
        three.set_alias("support", "prod", 1, reason="\udcff")


def test_the_history_still_tells_of_a_deleted_version(three: Registry) -> None:
    three.set_alias("support", "prod", 3)
    three.set_alias("support", "prod", 2)
    three.delete("support@3")
    assert [move.version for move in three.alias_history("support", "prod")] == [3, 2]


def test_aliases_of_all_adapters_are_listed_by_name(three: Registry, tmp_path: Path) -> None:
    three.publish(tmp_path / "v0", "another", base="tiny")
    three.set_alias("support", "canary", 2)
    assert [(a.adapter, a.name) for a in three.aliases()] == [
        ("another", "default"),
        ("support", "canary"),
        ("support", "default"),
    ]
    summary = next(adapter for adapter in three.adapters() if adapter.name == "support")
    assert summary.aliases == {"canary": 2, "default": 1}
    assert (summary.versions, summary.latest, summary.ranks) == (3, 3, (4,))
