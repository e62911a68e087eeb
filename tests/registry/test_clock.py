"""A clock that is set back or forward makes no order wrong: order is by ids, and moments are for people."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from tests.registry.settable_clock import SettableClock
from tests.tiny import tiny_adapter

from lorarack.registry import Registry
from lorarack.registry.errors import Conflict

HOLDER = "host:8000/1"


@pytest.fixture
def set_clock(clock: SettableClock) -> Callable[[float], None]:
    """Set the registry's clock to so many hours from the real one."""

    def to(hours: float) -> None:
        clock.offset = timedelta(hours=hours)

    return to


@pytest.fixture
def filled(registry: Registry, tmp_path: Path, set_clock: Callable[[float], None]) -> Registry:
    """Three versions, each published a day before the one that it came after."""
    for seed in range(3):
        set_clock(-24.0 * seed)
        registry.publish(tiny_adapter(tmp_path / f"{seed}", seed=seed), "support", base="tiny")
    return registry


def test_the_newest_is_the_last_that_was_published(filled: Registry) -> None:
    moments = [version.created_at for version in filled.versions("support")]
    assert moments == sorted(moments, reverse=True)
    assert filled.resolve("support@latest").number == 3
    assert filled.snapshot().resolve("support@r4").number == 3


def test_aliases_and_their_history_are_in_the_order_of_the_moves(
    filled: Registry, set_clock: Callable[[float], None]
) -> None:
    for number, hours in ((1, 0.0), (2, -48.0), (3, -96.0)):
        set_clock(hours)
        filled.set_alias("support", "prod", number)
    assert [(move.previous, move.version) for move in filled.alias_history("support", "prod")] == [
        (None, 1),
        (1, 2),
        (2, 3),
    ]
    assert {alias.name: alias.version for alias in filled.aliases("support")}["prod"] == 3
    cursors = [event.cursor for event in filled.events()]
    assert cursors == sorted(cursors)


def test_a_follower_misses_nothing(filled: Registry, set_clock: Callable[[float], None]) -> None:
    before = filled.snapshot()
    set_clock(-1000)
    filled.set_alias("support", "default", 3)
    assert filled.snapshot(before).resolve("support").number == 3


def test_a_clock_set_back_lets_leases_hold_longer_until_they_are_said_again(
    filled: Registry, set_clock: Callable[[float], None]
) -> None:
    """Never shorter; and the holder's next word puts it right."""
    set_clock(0)
    version = filled.versions("support")[1]
    filled.lease(version, HOLDER, 60)
    set_clock(-1)
    with pytest.raises(Conflict, match="is in use by"):
        filled.delete("support@2")
    filled.lease(version, HOLDER, 60)
    set_clock(-1 + 61 / 3600)
    filled.delete("support@2")


def test_a_clock_set_forward_ends_leases_until_they_are_said_again(
    filled: Registry, set_clock: Callable[[float], None]
) -> None:
    set_clock(0)
    version = filled.versions("support")[1]
    filled.lease(version, HOLDER, 60)
    set_clock(1)
    assert filled.gc(dry_run=True).removed("version") == 0, "what is ready does not go, held or not"
    filled.lease(version, HOLDER, 60)
    with pytest.raises(Conflict, match="is in use by"):
        filled.delete("support@2")


def test_a_version_from_the_future_is_young(filled: Registry, set_clock: Callable[[float], None]) -> None:
    """Of two mistakes a retention rule makes the one that keeps."""
    set_clock(-24.0 * 365)
    filled.set_retention("support", keep_days=1)
    with pytest.raises(Conflict, match="younger than 1 days"):
        filled.delete("support@2")
