"""Every catalog: where aliases point, the states of versions, and what holds them."""

import time
from collections.abc import Callable

import pytest
from tests.registry.contract.catalog_values import new, put, stored, version
from tests.registry.contract.catalogs import Opener

from lorarack.registry import Parent, State
from lorarack.registry.errors import BlobGone, Conflict, NotFound
from lorarack.registry.interface import Catalog
from lorarack.registry.reference import parse_reference


def test_an_alias_is_compared_and_set(catalog: Catalog, open_catalog: Opener) -> None:
    for _ in range(3):
        put(catalog)
    moved = catalog.set_alias("ann", "support", "prod", 1, expect=0, reason="first", forced=True)
    assert (moved.version, moved.previous, moved.actor, moved.reason) == (1, None, "ann", "first")
    assert (moved.forced, moved.rollback) == (True, False)
    for expect in (0, 2):
        with pytest.raises(Conflict) as raised:
            open_catalog().set_alias("bob", "support", "prod", 3, expect=expect)
        assert raised.value.code == "stale_expect"
    moved = open_catalog().set_alias("bob", "support", "prod", 2, expect=1, rollback=True)
    assert (moved.previous, moved.reason, moved.rollback) == (1, None, True)
    assert catalog.alias_moves("support", "prod")[-1] == moved
    assert [(alias.name, alias.version) for alias in catalog.aliases("support")] == [("default", 1), ("prod", 2)]
    assert version(catalog, "support", 2).aliases == ("prod",)
    with pytest.raises(NotFound):
        catalog.set_alias("ann", "support", "prod", 4)
    with pytest.raises(NotFound):
        catalog.set_alias("ann", "nobody", "prod", 1)


def test_an_alias_that_points_there_already_stays(catalog: Catalog) -> None:
    """Another reason is kept; the same, or none, changes nothing."""
    put(catalog)
    first = catalog.set_alias("ann", "support", "prod", 1, reason="good")
    before = catalog.last_event_id()
    assert catalog.set_alias("bob", "support", "prod", 1) == first
    assert catalog.set_alias("bob", "support", "prod", 1, reason="good") == first
    assert catalog.last_event_id() == before
    again = catalog.set_alias("bob", "support", "prod", 1, reason="better")
    assert (again.previous, again.reason, again.actor) == (1, "better", "bob")
    assert [move.reason for move in catalog.alias_moves("support")] == ["first published version", "good", "better"]


def test_aliases_are_ordered_by_adapter_and_name(catalog: Catalog) -> None:
    for adapter in ("b", "a-a", "a"):
        put(catalog, adapter)
        for alias in ("z", "a.b", "a-b"):
            catalog.set_alias("ann", adapter, alias, 1)
    listed = [(alias.adapter, alias.name) for alias in catalog.aliases()]
    assert listed == sorted(listed)
    assert len(listed) == 12
    assert [alias.name for alias in catalog.aliases("a")] == ["a-b", "a.b", "default", "z"]
    assert version(catalog, "a", 1).aliases == ("a-b", "a.b", "default", "z")


def test_states(catalog: Catalog) -> None:
    for _ in range(2):
        put(catalog)
    with pytest.raises(Conflict, match="named by alias default") as raised:
        catalog.set_state("ann", "support", 1, State.ARCHIVED, None)
    assert raised.value.code == "in_use"
    catalog.set_state("ann", "support", 1, State.QUARANTINED, "leaks")
    catalog.set_state("ann", "support", 2, State.ARCHIVED, None)
    before = catalog.last_event_id()
    catalog.set_state("ann", "support", 2, State.ARCHIVED, "again")
    assert catalog.last_event_id() == before
    assert [(v.state, v.state_reason) for v in (version(catalog, "support", number) for number in (1, 2))] == [
        (State.QUARANTINED, "leaks"), (State.ARCHIVED, None),
    ]  # fmt: skip
    for refused in (1, 2):
        with pytest.raises(Conflict) as not_ready:
            catalog.set_alias("ann", "support", "prod", refused)
        assert not_ready.value.code == "not_ready"
    catalog.set_state("ann", "support", 1, State.READY, "looked at")
    assert version(catalog, "support", 1).state is State.READY
    assert [event.kind for event in catalog.events(before - 2, 9)] == ["quarantined", "archived", "ready"]
    with pytest.raises(NotFound):
        catalog.set_state("ann", "support", 3, State.ARCHIVED, None)


def test_damage_and_repair(catalog: Catalog) -> None:
    found = put(catalog)
    assert not catalog.mark_damaged("ann", "support", 1, new(content="other").digest, "no")
    assert version(catalog, "support", 1).state is State.READY
    assert catalog.mark_damaged("ann", "support", 1, found.digest, "a bit flipped")
    assert catalog.mark_damaged("ann", "support", 1, found.digest, "again")
    assert version(catalog, "support", 1).state_reason == "a bit flipped"
    assert catalog.find_version(parse_reference("support@latest")) is None
    files = new(content="repaired").files
    with pytest.raises(BlobGone):
        catalog.repair("ann", "support", 1, files, lambda digest: digest == files[0].digest)
    assert version(catalog, "support", 1).state is State.DAMAGED
    catalog.repair("ann", "support", 1, files, stored)
    assert (version(catalog, "support", 1).state, version(catalog, "support", 1).files) == (State.READY, files)
    catalog.repair("ann", "support", 1, found.files, stored)  # no longer damaged: left alone
    assert version(catalog, "support", 1).files == files
    catalog.set_state("ann", "support", 1, State.QUARANTINED, "why")
    assert not catalog.mark_damaged("ann", "support", 1, found.digest, "no")
    with pytest.raises(NotFound):
        catalog.repair("ann", "support", 2, files, stored)


def _alias(catalog: Catalog) -> None:
    catalog.set_alias("ann", "support", "prod", 2)


def _lease(catalog: Catalog) -> None:
    catalog.lease([("support", 2), ("support", 99)], "server", 60)


def _child(catalog: Catalog) -> None:
    catalog.add_version("ann", new("child", parents=[Parent(version="support@2", relation="merged")]), stored)


def _keep_last(catalog: Catalog) -> None:
    catalog.set_retention("ann", "support", 2, None)


def _keep_days(catalog: Catalog) -> None:
    catalog.set_retention("ann", "support", None, 1)


@pytest.mark.parametrize("hold", [_alias, _lease, _child, _keep_last, _keep_days])
def test_what_is_held_is_not_deleted(catalog: Catalog, hold: Callable[[Catalog], None]) -> None:
    for _ in range(3):
        put(catalog)
    hold(catalog)
    before = catalog.last_event_id()
    with pytest.raises(Conflict) as raised:
        catalog.delete_version("ann", "support", 2)
    assert raised.value.code == "in_use"
    assert catalog.last_event_id() == before
    if hold is not _alias:
        catalog.set_state("ann", "support", 2, State.ARCHIVED, None)
        assert catalog.prune("ann", [("support", 2)]) == []
        assert {item.name: item.removed for item in catalog.gc_plan()}["support@2"] is False


def test_leases_end(catalog: Catalog) -> None:
    for _ in range(2):
        put(catalog)
    catalog.lease([("support", 1), ("support", 2)], "one", 60)
    catalog.lease([("support", 2)], "two", 60)
    catalog.lease([("support", 2)], "two", 0.2)
    catalog.release("one", ("support", 2))
    catalog.release("nobody")
    time.sleep(0.3)
    catalog.delete_version("ann", "support", 2)
    catalog.release("one")
    with pytest.raises(NotFound):
        catalog.lease([("support", 2)], "one", 60)


def test_retention(catalog: Catalog) -> None:
    put(catalog)
    for keep_last, keep_days in ((None, None), (2**31 - 1, None), (None, 36_500), (3, 4)):
        catalog.set_retention("ann", "support", keep_last, keep_days)
        rule = catalog.retention("support")
        assert rule is not None
        assert (rule.keep_last, rule.keep_days) == (keep_last, keep_days)
    with pytest.raises(NotFound):
        catalog.set_retention("ann", "nobody", 1, None)
