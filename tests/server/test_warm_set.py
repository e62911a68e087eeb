"""What aliases and pins name is loaded before anybody asks, follows when they move, and is let go afterwards."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from io import BytesIO
from typing import IO

import pytest
from tests.server.test_residency import open_copy, until
from tests.server.values import LIMITS, MOMENT, RecordingEngine, version

from lorarack.registry import AdapterView, Snapshot, Version
from lorarack.registry.errors import StoreError
from lorarack.registry.experiment.scores import Scores
from lorarack.registry.experiment.values import Arm, Experiment, Plan
from lorarack.server.residency import Residency
from lorarack.server.warm_set import WarmSet


def view(name: str, aliases: Mapping[str, int], *versions: Version) -> AdapterView:
    return AdapterView.of(name, "smol", versions, aliases, MOMENT)


def snapshot(*views: AdapterView) -> Snapshot:
    return Snapshot(changes=1, bases={}, adapters={view.name: view for view in views})


def support(**aliases: int) -> AdapterView:
    return view("support", aliases, *(version(number) for number in (1, 2, 3)), version(4, rank=64))


async def test_a_start_loads_pins_then_set_aliases_then_defaults_as_far_as_there_are_places() -> None:
    others = [view(f"other{n}", {"default": 1}, version(1, adapter=f"other{n}", engine_id=10 + n)) for n in range(9)]
    residency = Residency(RecordingEngine(), open_copy, LIMITS)
    warm = WarmSet(residency, ["support@3", "support@nosuch", "support@4"], 4)
    assert warm.waiting_for is None
    task = warm.start(snapshot(support(default=2, prod=1), *others))
    assert warm.waiting_for is not None
    assert "support@1" in warm.waiting_for
    await task
    assert warm.waiting_for is None
    assert {"support@3", "support@1"} <= residency.resident
    assert len(residency.resident) == 4
    assert [row.version.reference for row in residency.table if row.pinned] == ["support@3"]


async def test_what_cannot_be_loaded_does_not_keep_the_server_from_starting() -> None:
    def files(found: Version) -> IO[bytes]:
        if found.number == 1:
            raise StoreError("The disk failed.")
        return BytesIO(b"")

    residency = Residency(RecordingEngine(), files, LIMITS)
    warm = WarmSet(residency, [], 4)
    await warm.start(snapshot(support(default=1, prod=2)))
    assert warm.waiting_for is None
    assert residency.resident == {"support@2"}


async def test_an_alias_moves_once_its_new_version_is_loaded_and_the_old_one_is_let_go() -> None:
    """Requests that it answers keep the old one; what another alias names stays."""
    engine = RecordingEngine()
    residency = Residency(engine, open_copy, LIMITS)
    warm = WarmSet(residency)
    before, after = snapshot(support(prod=1, canary=3)), snapshot(support(prod=2, canary=2, stable=3))
    await residency.ensure(version(3))
    async with residency.use(version(1)):
        await warm.prepare(before, after)
        assert residency.resident == {"support@1", "support@2", "support@3"}
        warm.follow(before, after)
        await asyncio.sleep(0.05)
        assert engine.ids == {1, 2, 3}
    await until(lambda: engine.ids == {2, 3})


async def test_an_alias_that_nobody_used_loads_nothing_when_it_moves() -> None:
    residency = Residency(RecordingEngine(), open_copy, LIMITS)
    await WarmSet(residency).prepare(snapshot(support(prod=1)), snapshot(support(prod=2)))
    assert residency.resident == frozenset()


async def test_a_slow_load_holds_an_alias_up_for_a_moment_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lorarack.server.warm_set.FLIP_SECONDS", 0.05)
    engine = RecordingEngine()
    residency = Residency(engine, open_copy, LIMITS)
    await residency.ensure(version(1))
    engine.delay = 0.5
    await asyncio.wait_for(WarmSet(residency).prepare(snapshot(support(prod=1)), snapshot(support(prod=2))), 0.4)
    assert residency.resident == {"support@1"}
    await until(lambda: "support@2" in residency.resident)


async def test_a_pin_follows_its_alias() -> None:
    engine = RecordingEngine()
    residency = Residency(engine, open_copy, LIMITS, capacity=2)
    warm = WarmSet(residency, ["support@prod"], 2)
    before, after = snapshot(support(prod=1)), snapshot(support(prod=2))
    await warm.start(before)
    await warm.prepare(before, after)
    warm.follow(before, after)
    assert [row.version.number for row in residency.table if row.pinned] == [2]
    for number in (5, 6, 7):
        await residency.ensure(version(number))
    assert engine.ids == {2, 7}


async def test_a_pin_that_could_not_be_loaded_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lorarack.server.residency_table.STORE_RETRY_SECONDS", 0.02)
    broken = [True]

    def files(found: Version) -> IO[bytes]:
        if broken:
            raise StoreError("The disk failed.")
        return BytesIO(b"")

    residency = Residency(RecordingEngine(), files, LIMITS)
    warm, now = WarmSet(residency, ["support@1"], 2), snapshot(support())
    await warm.start(now)
    assert residency.resident == frozenset()
    broken.clear()
    await asyncio.sleep(0.03)
    await warm.keep(now)
    assert residency.resident == {"support@1"}


def between(*arms: Arm) -> Snapshot:
    """support@prod names version 1, and an experiment splits its callers between ``arms``; support@canary names version 2."""
    plan = Plan(metric="thumbs", margin=0.05, limit=100, needed=20, pilot=Scores(), salt="s")
    made = Experiment(
        id=1, adapter="support", alias="prod", plan=plan, arms=arms, started_at=MOMENT, started_by="ann",
        weights_changed_at=MOMENT,
    )  # fmt: skip
    return replace(snapshot(support(prod=1, canary=2)), experiments={("support", "prod"): made} if arms else {})


async def test_the_arms_of_an_experiment_are_loaded_before_their_callers_come_and_stay_while_they_get_requests() -> (
    None
):
    engine = RecordingEngine()
    residency = Residency(engine, open_copy, LIMITS)
    warm = WarmSet(residency, (), 4)
    reference, challenger = Arm(name="1", version=1, weight=50), Arm(name="2", version=2, weight=50)
    unfit = Arm(name="4", version=4, weight=0)
    running = between(reference, challenger, unfit)
    await warm.prepare(between(), running)
    assert residency.resident == {"support@1", "support@2"}
    moved = replace(running, adapters=snapshot(support(prod=1)).adapters)  # nothing but the experiment names version 2
    warm.follow(running, moved)
    await asyncio.sleep(0.05)
    assert engine.ids == {1, 2}
    again = Residency(RecordingEngine(), open_copy, LIMITS)
    await WarmSet(again, (), 4).start(moved)
    assert again.resident == {"support@1", "support@2"}


async def test_a_stopped_arm_is_not_loaded() -> None:
    residency = Residency(RecordingEngine(), open_copy, LIMITS)
    stopped = Arm(name="3", version=3, weight=50, stopped="too many errors")
    await WarmSet(residency, (), 4).prepare(between(), between(Arm(name="1", version=1, weight=50), stopped))
    assert residency.resident == {"support@1"}
