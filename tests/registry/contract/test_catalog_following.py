"""Every catalog: who follows by events or from snapshot to snapshot knows what a look at everything tells."""

import random
from dataclasses import replace
from pathlib import Path

import pytest
from tests.registry.contract.catalog_values import added, hub, loss, new, put, reading, row, stored
from tests.registry.contract.catalogs import CATALOGS, Opener

from lorarack.registry import Parent, Snapshot, State
from lorarack.registry.errors import Conflict
from lorarack.registry.interface import Catalog


def same(one: Snapshot, other: Snapshot) -> bool:
    return _all_of(one) == _all_of(other)


def _all_of(snapshot: Snapshot) -> object:
    views = [
        replace(view, ready={rank: list(numbers) for rank, numbers in view.ready.items() if numbers})
        for view in snapshot.adapters.values()
    ]
    return snapshot.changes, dict(snapshot.bases), views


def test_events_are_read_from_a_cursor_on(catalog: Catalog) -> None:
    put(catalog)
    put(catalog, "other")
    catalog.describe("bob", "support", 1, {"é": "\U0001f600"}, [], "text")
    everything = catalog.events(0, 100)
    cursors = [event.cursor for event in everything]
    assert cursors == sorted(set(cursors))
    assert cursors[-1] == catalog.last_event_id()
    assert catalog.events(cursors[1], 2) == everything[2:4]
    assert catalog.events(2**63 - 1, 10) == ()
    assert {event.adapter for event in catalog.events(0, 100, "other")} == {"other"}
    last = everything[-1]
    assert (last.actor, last.kind, last.adapter, last.version) == ("bob", "described", "support", 1)
    assert last.detail == {"tags": {"é": "\U0001f600"}, "without": [], "description": "text"}
    assert last.at.utcoffset() is not None


def test_a_snapshot_has_everything_but_metrics_and_provenance(catalog: Catalog) -> None:
    put(catalog, metrics=[loss(0.5)], tags={"a": "b"})
    snapshot = catalog.snapshot()
    found = snapshot.resolve("support")
    assert (found.metrics, found.provenance, found.tags) == ((), None, {"a": "b"})
    assert snapshot.changes == catalog.last_event_id()
    assert catalog.snapshot(snapshot) is snapshot
    assert tuple(snapshot.bases.values()) == catalog.bases()


@pytest.mark.parametrize("seed", range(3))
def test_following_by_snapshots_is_reading_everything(catalog: Catalog, open_catalog: Opener, seed: int) -> None:
    """After whatever was written, by whomever, one change or many at a time."""
    chance = random.Random(seed)
    writers = [catalog, open_catalog()]
    followed = catalog.snapshot()
    for turn in range(60):
        _write_something(chance.choice(writers), chance, turn)
        if chance.random() < 0.5:
            followed = catalog.snapshot(followed)
            assert same(followed, open_catalog().snapshot() if turn % 20 == 0 else catalog.snapshot())
    assert same(catalog.snapshot(followed), catalog.snapshot())


def _write_something(catalog: Catalog, chance: random.Random, turn: int) -> None:
    adapter, number = chance.choice(["a", "b/c"]), chance.randrange(1, 6)
    try:
        match chance.randrange(9):
            case 0 | 1 | 2:
                put(catalog, adapter, content=str(chance.randrange(12)), rank=chance.choice([4, 8]))
            case 3:
                catalog.set_alias("ann", adapter, chance.choice(["default", "prod"]), number)
            case 4:
                catalog.set_state("ann", adapter, number, chance.choice([*State]), None)
            case 5:
                catalog.delete_version("ann", adapter, number)
            case 6:
                catalog.describe("ann", adapter, number, {"turn": str(turn)}, [], None)
            case 7:
                catalog.add_base("ann", reading(f"base {turn}"), f"base-{turn}", "x", hub(f"org/{turn}"), use=True)
            case _:
                catalog.import_versions("ann", [row(20 + turn, f"import {turn}", adapter=adapter)], {}, stored)
    except Exception as error:
        if getattr(error, "code", "") not in ("unknown_reference", "not_ready", "in_use", "stale_expect"):
            raise


def test_a_snapshot_of_another_history_is_not_followed(
    catalog: Catalog, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The catalog was brought back from a copy, or made anew."""
    put(catalog, content="one")
    other = catalog.snapshot()
    anew = CATALOGS[request.node.callspec.params["open_catalog"]](tmp_path / "another")()
    anew.add_base("ann", reading(), "tiny", "tiny", hub("org/tiny"), use=True)
    put(anew, "different", content="two")
    assert same(anew.snapshot(other), anew.snapshot())
    assert "support" not in anew.snapshot(other).adapters
    anew.close()


def test_lineage_is_found_over_generations(catalog: Catalog) -> None:
    """Each link once, the nearest first, however the ways cross."""
    for number, parents in ((1, ()), (2, (1,)), (3, (1,)), (4, (2, 3)), (5, (4, 1))):
        made = new(content=str(number), parents=[Parent(version=f"support@{p}", relation="merged") for p in parents])
        assert added(catalog, "ann", made) == (number, True)
    put(catalog, "child", parents=[Parent(version="support@5", relation="resized")])

    def links(number: int) -> list[list[tuple[str, str]]]:
        view = catalog.adapter("support")
        assert view is not None
        return [[(link.child, link.parent) for link in side] for side in catalog.lineage(view.by_number[number])]

    up, down = links(4)
    assert up == [
        ("support@4", "support@2"),
        ("support@4", "support@3"),
        ("support@2", "support@1"),
        ("support@3", "support@1"),
    ]
    assert down == [("support@5", "support@4"), ("child@1", "support@5")]
    assert links(1)[0] == []
    assert len(links(1)[1]) == 7
    with pytest.raises(Conflict):
        catalog.delete_version("ann", "support", 4)
