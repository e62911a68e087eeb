"""The table decides what stays in the engine: what was used longest ago makes way, what is pinned or asked does not."""

import asyncio
import threading
from typing import IO

import pytest
from tests.server.test_residency import open_copy, until
from tests.server.values import LIMITS, RecordingEngine, version

from lorarack.registry import Version
from lorarack.registry.errors import NotServeable, StoreError
from lorarack.server.proof import Proof
from lorarack.server.residency import Residency
from lorarack.server.residency_table import ResidencyObserver


async def test_what_was_used_longest_ago_makes_way() -> None:
    engine, evicted = RecordingEngine(), list[str]()
    observer = ResidencyObserver(evicted=lambda found: evicted.append(found.reference))
    residency = Residency(engine, open_copy, LIMITS, capacity=2, observer=observer)
    for number in (1, 2, 1, 3):
        await residency.ensure(version(number))
    assert engine.ids == {1, 3}
    assert evicted == ["support@2"]
    assert residency.resident == {"support@1", "support@3"}


async def test_what_answers_a_request_or_is_pinned_does_not_make_way() -> None:
    """The engine holds more for the time: an answer is never cut off."""
    engine = RecordingEngine()
    residency = Residency(engine, open_copy, LIMITS, capacity=2)
    residency.pin([version(1)])
    async with residency.use(version(1)), residency.use(version(2)):
        await residency.ensure(version(3))
        assert engine.ids == {1, 2, 3}
    await residency.ensure(version(4))
    assert engine.ids == {1, 4}
    residency.pin([])
    await residency.ensure(version(5))
    await residency.ensure(version(6))
    assert engine.ids == {5, 6}


async def test_a_request_for_a_version_that_makes_way_has_it_loaded_again() -> None:
    engine = RecordingEngine()
    engine.delay = 0.02
    residency = Residency(engine, open_copy, LIMITS, capacity=1)
    await asyncio.gather(*(residency.ensure(version(number % 3 + 1)) for number in range(60)))
    assert engine.most_at_once == 1
    assert len(engine.ids) == 1


async def test_let_go_it_is_unloaded_unless_it_is_pinned_or_wanted_again() -> None:
    engine = RecordingEngine()
    residency = Residency(engine, open_copy, LIMITS)
    for number in (1, 2, 3):
        await residency.ensure(version(number))
    residency.pin([version(1)])
    for number in (1, 2, 3):
        residency.let_go(version(number))
    await residency.ensure(version(3))
    await until(lambda: engine.ids == {1, 3})
    assert len(engine.loads) == 3


async def test_the_table_says_where_each_version_is() -> None:
    """Each of the five states, with requests, seconds and the reason of a failure."""
    let_go = threading.Event()

    def files(found: Version) -> IO[bytes]:
        if found.number == 1:
            let_go.wait(10)
        if found.number == 4:
            raise StoreError("The disk failed.")
        return open_copy(found)

    engine = RecordingEngine()
    residency = Residency(engine, files, LIMITS)

    def states() -> dict[int, str]:
        return {row.version.number: row.state.value for row in residency.table}

    fetching = asyncio.create_task(residency.ensure(version(1)))
    async with residency.use(version(2)), residency.use(version(3)):
        with pytest.raises(StoreError):
            await residency.ensure(version(4))
        residency.let_go(version(3))
        engine.delay = 0.2
        loading = asyncio.create_task(residency.ensure(version(5)))
        await until(lambda: states().get(5) == "loading")
        assert states() == {1: "fetching", 2: "ready", 3: "draining", 4: "failed", 5: "loading"}
        rows = {row.version.number: row for row in residency.table}
        assert rows[2].requests == 1
        assert rows[2].load_seconds
        assert 0 < rows[4].refused_for <= 2
    let_go.set()
    await asyncio.gather(fetching, loading)
    await until(lambda: states() == {1: "ready", 2: "ready", 4: "failed", 5: "ready"})


async def test_what_the_probe_refuses_is_unloaded_and_not_tried_again() -> None:
    """Its bytes will not change. What passes is looked at once."""
    engine, asked = RecordingEngine(), list[int]()

    async def probe(found: Version) -> Proof:
        asked.append(found.number)
        if found.number == 1:
            raise NotServeable("support@1 changes nothing.", code="no_effect")
        return Proof("changes what was asked")

    residency = Residency(engine, open_copy, LIMITS, capacity=1, probe=probe)
    for _ in range(2):
        with pytest.raises(NotServeable, match="changes nothing"):
            await residency.ensure(version(1))
    assert engine.ids == set()
    await residency.ensure(version(2))
    assert asked == [1, 2]
