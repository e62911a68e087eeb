"""Versions are loaded once, one at a time, only when they fit, and dropped when the registry drops them."""

import asyncio
import threading
from collections.abc import Callable
from io import BytesIO
from typing import IO, Any

import pytest
from tests.server.values import LIMITS, MOMENT, RecordingEngine, version

from lorarack.registry import AdapterView, Snapshot, State, Version
from lorarack.registry.errors import Conflict, Damaged, EngineError, NotServeable
from lorarack.server.residency import Residency


def open_copy(found: Version) -> IO[bytes]:
    return BytesIO(found.digest.encode())


def snapshot_of(*versions: Version) -> Snapshot:
    view = AdapterView.of("support", "smol", versions, {}, MOMENT)
    return Snapshot(changes=1, bases={}, adapters={"support": view})


async def test_many_requests_for_one_version_load_it_once() -> None:
    engine = RecordingEngine()
    residency = Residency(engine, open_copy, LIMITS)
    await asyncio.gather(*(residency.ensure(version(1)) for _ in range(20)))
    assert residency.resident == {"support@1"}
    assert engine.loads == [("support@1", 1, version(1).digest)]


async def test_different_versions_are_loaded_one_at_a_time() -> None:
    """Each load stops the engine's loop for its time; two at once would stop it for longer and gain nothing."""
    engine = RecordingEngine()
    residency = Residency(engine, open_copy, LIMITS)
    await asyncio.gather(*(residency.ensure(version(number)) for number in range(1, 6)))
    assert engine.most_at_once == 1
    assert residency.resident == {f"support@{number}" for number in range(1, 6)}


async def test_a_client_that_hangs_up_does_not_stop_the_load_of_others() -> None:
    engine = RecordingEngine()
    residency = Residency(engine, open_copy, LIMITS)
    first = asyncio.create_task(residency.ensure(version(1)))
    await asyncio.sleep(0)
    second = asyncio.create_task(residency.ensure(version(1)))
    await asyncio.sleep(0)
    first.cancel()
    await second
    assert residency.resident == {"support@1"}
    assert len(engine.loads) == 1


async def test_a_failed_load_is_told_to_all_and_not_tried_again_for_each_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The engine stops for each try; the next one is made after a while."""
    monkeypatch.setattr("lorarack.server.residency_table.ENGINE_RETRY_SECONDS", 0.2)
    fetched: list[Version] = []

    def noting(found: Version) -> IO[bytes]:
        fetched.append(found)
        return open_copy(found)

    engine = RecordingEngine()
    residency = Residency(engine, noting, LIMITS)
    engine.fault = EngineError("vLLM could not load support@1: no.")
    for _ in range(50):
        with pytest.raises(EngineError, match="could not load support@1: no"):
            await residency.ensure(version(1))
    assert len(fetched) == 1
    await residency.ensure(version(2))
    await asyncio.sleep(0.25)
    await residency.ensure(version(1))


async def test_what_nobody_foresaw_is_an_error_of_that_version_alone() -> None:
    def broken(found: Version) -> IO[bytes]:
        if found.number == 1:
            raise ZeroDivisionError("odd")
        return open_copy(found)

    residency = Residency(RecordingEngine(), broken, LIMITS)
    with pytest.raises(EngineError, match=r"support@1 could not be loaded: ZeroDivisionError: odd"):
        await residency.ensure(version(1))
    await residency.ensure(version(2))


async def test_slow_fetches_delay_no_other_version() -> None:
    let_go = threading.Event()

    def slow(found: Version) -> IO[bytes]:
        if found.number <= 8:
            let_go.wait(60)
        return open_copy(found)

    residency = Residency(RecordingEngine(), slow, LIMITS)
    waiting = [asyncio.create_task(residency.ensure(version(number))) for number in range(1, 9)]
    await asyncio.sleep(0.05)
    await residency.ensure(version(9))
    assert not any(task.done() for task in waiting)
    let_go.set()
    await asyncio.gather(*waiting)


@pytest.mark.parametrize("state", [State.ARCHIVED, State.QUARANTINED])
async def test_archived_or_quarantined_is_not_ready_whatever_else_is_wrong(state: State) -> None:
    residency = Residency(RecordingEngine(), open_copy, LIMITS)
    with pytest.raises(Conflict, match=r"support@1 is \w+ \(worse\)") as refused:
        await residency.ensure(version(1, state=state, state_reason="worse.", rank=64))
    assert refused.value.code == "not_ready"


@pytest.mark.parametrize("where", ["files", "engine"])
async def test_archived_while_it_loads_it_is_neither_loaded_nor_leased(where: str) -> None:
    fetching, let_go = threading.Event(), threading.Event()

    def slow(found: Version) -> IO[bytes]:
        fetching.set()
        if where == "files":
            let_go.wait(60)
        return open_copy(found)

    engine = RecordingEngine()
    engine.delay = 0.1
    residency = Residency(engine, slow, LIMITS)
    task = asyncio.create_task(residency.ensure(version(1)))
    await asyncio.to_thread(fetching.wait, 10)
    await asyncio.sleep(0.02)
    residency.follow(snapshot_of(version(1, state=State.ARCHIVED)))
    let_go.set()
    with pytest.raises(Conflict) as refused:
        await task
    assert refused.value.code == "not_ready"
    assert residency.loaded == ()
    await until(lambda: not engine.ids)


async def test_a_version_is_unloaded_after_the_last_request_that_it_answers() -> None:
    """The engine would read it again for the rest of that one, and keep it."""
    engine = RecordingEngine()
    residency = Residency(engine, open_copy, LIMITS)
    async with residency.use(version(1)):
        residency.follow(snapshot_of(version(1, state=State.ARCHIVED)))
        await asyncio.sleep(0.05)
        assert residency.loaded == ()
        assert engine.ids == {1}
    await until(lambda: not engine.ids)


async def test_restored_before_it_was_unloaded_it_stays() -> None:
    engine = RecordingEngine()
    residency = Residency(engine, open_copy, LIMITS)
    async with residency.use(version(1)):
        residency.follow(snapshot_of(version(1, state=State.ARCHIVED)))
        await asyncio.sleep(0.01)
        await asyncio.wait_for(residency.ensure(version(1)), 30)
    await asyncio.sleep(0.05)
    assert engine.ids == {1}
    assert residency.resident == {"support@1"}


@pytest.mark.parametrize("again", [{"digest": "sha256:" + "d" * 64}, {"adapter": "other", "number": 7, "engine_id": 1}])
async def test_what_a_restored_catalog_gives_the_same_name_or_id_is_never_served_as_the_old(
    again: dict[str, Any],
) -> None:
    """vLLM takes an engine id that it has for loaded: the old one has to go first."""
    engine = RecordingEngine()
    residency = Residency(engine, open_copy, LIMITS)
    await residency.ensure(version(1))
    other = version(**({"number": 1} | again))
    await residency.ensure(other)
    assert engine.events[:3] == [("load", 1), ("unload", 1), ("load", 1)]
    assert residency.loaded == (other,)


async def test_barred_on_this_server_it_is_unloaded_and_refused() -> None:
    engine = RecordingEngine()
    residency = Residency(engine, open_copy, LIMITS)
    await residency.ensure(version(1))
    residency.refuse(version(1), EngineError("support@1 gave numbers that are none."), 30)
    with pytest.raises(EngineError, match="numbers that are none"):
        await residency.ensure(version(1))
    await until(lambda: not engine.ids)


async def until(true: Callable[[], bool]) -> None:
    for _ in range(500):
        if true():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to pass")


async def test_files_that_cannot_be_had_never_reach_the_engine() -> None:
    engine = RecordingEngine()

    def damaged(_: Version) -> IO[bytes]:
        raise Damaged("The stored file is missing.")

    with pytest.raises(Damaged):
        await Residency(engine, damaged, LIMITS).ensure(version(1))
    assert engine.loads == []


async def test_what_does_not_fit_is_refused_before_anything_is_fetched() -> None:
    def never(_: Version) -> IO[bytes]:
        raise AssertionError("fetched")

    with pytest.raises(NotServeable):
        await Residency(RecordingEngine(), never, LIMITS).ensure(version(1, rank=64))


async def test_deleted_archived_and_quarantined_versions_are_dropped_from_the_engine() -> None:
    engine = RecordingEngine()
    residency = Residency(engine, open_copy, LIMITS)
    for number in (1, 2, 3, 4):
        await residency.ensure(version(number))
    residency.follow(snapshot_of(version(2, state=State.QUARANTINED), version(3, state=State.ARCHIVED), version(4)))
    for _ in range(100):
        if engine.ids == {4}:
            break
        await asyncio.sleep(0.005)
    assert engine.ids == {4}
    assert residency.resident == {"support@4"}


async def test_following_looks_for_what_is_loaded_only() -> None:
    """Not at every version: this runs on the event loop, and a registry may have 100,000."""
    residency = Residency(RecordingEngine(), open_copy, LIMITS)
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
