"""Versions are loaded once, one at a time, only when they fit, and dropped when the registry drops them."""

import asyncio
from pathlib import Path

import pytest
from tests.server.values import LIMITS, MOMENT, RecordingEngine, version

from lorarack.registry import AdapterView, Snapshot, State, Version
from lorarack.registry.errors import Damaged, EngineError, NotServeable
from lorarack.server.residency import Residency


def path_of(found: Version) -> Path:
    return Path("/cache") / found.digest


def snapshot_of(*versions: Version) -> Snapshot:
    view = AdapterView.of("support", "smol", versions, {}, MOMENT)
    return Snapshot(changes=1, bases={}, adapters={"support": view})


async def test_many_requests_for_one_version_load_it_once() -> None:
    engine = RecordingEngine()
    residency = Residency(engine, path_of, LIMITS)
    names = await asyncio.gather(*(residency.ensure(version(1)) for _ in range(20)))
    assert set(names) == {"support@1"}
    assert engine.loads == [("support@1", 1, path_of(version(1)))]


async def test_different_versions_are_loaded_one_at_a_time() -> None:
    """Each load stops the engine's loop for its time; two at once would stop it for longer and gain nothing."""
    engine = RecordingEngine()
    residency = Residency(engine, path_of, LIMITS)
    await asyncio.gather(*(residency.ensure(version(number)) for number in range(1, 6)))
    assert engine.most_at_once == 1
    assert await residency.resident() == {f"support@{number}" for number in range(1, 6)}


async def test_a_client_that_hangs_up_does_not_stop_the_load_of_others() -> None:
    engine = RecordingEngine()
    residency = Residency(engine, path_of, LIMITS)
    first = asyncio.create_task(residency.ensure(version(1)))
    await asyncio.sleep(0)
    second = asyncio.create_task(residency.ensure(version(1)))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == "support@1"
    assert len(engine.loads) == 1


async def test_a_failed_load_is_told_and_tried_again_by_the_next_request() -> None:
    engine = RecordingEngine()
    residency = Residency(engine, path_of, LIMITS)
    engine.fault = EngineError("vLLM could not load support@1: no.")
    with pytest.raises(EngineError):
        await residency.ensure(version(1))
    assert await residency.ensure(version(1)) == "support@1"


async def test_files_that_cannot_be_had_never_reach_the_engine() -> None:
    engine = RecordingEngine()

    def damaged(_: Version) -> Path:
        raise Damaged("The stored file is missing.")

    with pytest.raises(Damaged):
        await Residency(engine, damaged, LIMITS).ensure(version(1))
    assert engine.loads == []


async def test_what_does_not_fit_is_refused_before_anything_is_fetched() -> None:
    def never(_: Version) -> Path:
        raise AssertionError("fetched")

    with pytest.raises(NotServeable):
        await Residency(RecordingEngine(), never, LIMITS).ensure(version(1, rank=64))


async def test_deleted_archived_and_quarantined_versions_are_dropped_from_the_engine() -> None:
    engine = RecordingEngine()
    residency = Residency(engine, path_of, LIMITS)
    for number in (1, 2, 3, 4):
        await residency.ensure(version(number))
    residency.follow(snapshot_of(version(2, state=State.QUARANTINED), version(3, state=State.ARCHIVED), version(4)))
    for _ in range(100):
        if engine.ids == {4}:
            break
        await asyncio.sleep(0.005)
    assert engine.ids == {4}
    assert await residency.resident() == {"support@4"}


async def test_following_looks_for_what_is_loaded_only() -> None:
    """Not at every version: this runs on the event loop, and a registry may have 100,000."""
    residency = Residency(RecordingEngine(), path_of, LIMITS)
    await residency.ensure(version(1))

    class Guarded(AdapterView):
        @property
        def versions(self) -> tuple[Version, ...]:
            raise AssertionError("all versions were asked for")

    view = Guarded.of("support", "smol", [version(1), version(2)], {}, MOMENT)
    residency.follow(Snapshot(changes=2, bases={}, adapters={"support": view}))
    assert [found.reference for found in residency.loaded] == ["support@1"]
    residency.follow(Snapshot(changes=3, bases={}, adapters={}))
    assert residency.loaded == ()
