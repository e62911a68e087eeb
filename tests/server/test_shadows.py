"""Shadow answers: every request gets one result, requests go first, and what is skipped does not depend on what was answered."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from io import BytesIO

import pytest
from tests.server.values import LIMITS, RecordingEngine, version

from lorarack.registry.experiment.observed import Answer
from lorarack.registry.experiment.shadow import ShadowResult, SkipReason
from lorarack.server import shadows as module
from lorarack.server.caller import Caller
from lorarack.server.exchange import Exchange, ServedText
from lorarack.server.residency import Residency
from lorarack.server.router import Shadow
from lorarack.server.shadows import Room, Shadows


class Engine:
    """Says of each text what it begins with: "same", "differs", or a failure. It answers once ``open`` is set."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.answering = asyncio.Event()
        self.answering.set()
        self.began: list[str] = []

    def takes(self, served: ServedText) -> bool:
        return served.text != "picture"

    def is_greedy(self, served: ServedText) -> bool:
        return not served.text.startswith("sampled")

    async def first_difference(self, served: ServedText, name: str) -> int | None:
        self.began.append(served.text)
        await self.open.wait()
        if served.text.startswith("fails"):
            raise RuntimeError("no")
        return None if served.text.startswith("same") else 0

    async def answer(self, served: ServedText, name: str, start: int) -> tuple[list[int], str]:
        await self.answering.wait()
        return [7, 8], "another"


class World:
    """Shadows by support@1 on an engine of 32 rows, two of them for shadows, and the results so far."""

    def __init__(self) -> None:
        recording = RecordingEngine()
        recording.delay = 0
        self.version = version()
        self.residency = Residency(recording, lambda _: BytesIO(b"x"), LIMITS)
        self.engine, self.requests, self.slots, self.stopping = Engine(), 0, 2, False
        self.results: list[ShadowResult] = []
        self.shadows = Shadows(self.engine, self.residency, Room(32, 2, lambda: self.requests), lambda: self.stopping)
        self.shadows.tell(self.results.append)

    def add(self, text: str, *, status: int | None = 200, finished: bool = True, texts: int = 1) -> None:
        served = [ServedText({}, [1], [2, 3], text, finished) for _ in range(texts)]
        exchange = Exchange(Caller("team"), "POST /x", status=status, served=served)
        answer = Answer(experiment=1, arm="2", caller="u", key="team", completion=text)
        self.shadows.add(exchange, answer, Shadow("1", self.version, 0.5))

    async def settle(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)
        await asyncio.sleep(0.05)

    @property
    def in_engine(self) -> int:
        return sum(row.requests for row in self.residency.table)

    @property
    def found(self) -> dict[str, SkipReason | bool | None]:
        assert len({result.completion for result in self.results}) == len(self.results), "one result each"
        return {result.completion: result.skipped or result.same for result in self.results}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    made.shadows.close()


async def test_the_same_and_other_answers_are_recorded(world: World) -> None:
    for text in ("same", "differs", "sampled"):
        world.add(text)
    await world.settle()
    assert world.found == {"same": True, "differs": False, "sampled": False}
    by_id = {result.completion: result for result in world.results}
    assert (by_id["same"].text, by_id["same"].shadow_text) == (None, None)
    assert (by_id["differs"].text, by_id["differs"].shadow_text) == ("differs", "another")
    assert {(result.arm, result.other, result.share) for result in world.results} == {("2", "1", 0.5)}


async def test_what_cannot_be_shadowed_says_why(world: World) -> None:
    world.add("refused", status=400)
    world.add("failed", status=500)
    world.add("hung up", status=None)
    world.add("hung up in the middle", finished=False)
    world.add("several", texts=2)
    world.add("no text", texts=0)
    world.add("picture")
    world.add("fails")
    await world.settle()
    form = SkipReason.FORM
    assert world.found == {
        "refused": SkipReason.FAILED, "failed": SkipReason.FAILED, "hung up": SkipReason.ABORTED,
        "hung up in the middle": SkipReason.ABORTED, "several": form, "no text": form, "picture": form,
        "fails": SkipReason.ENGINE_FAILED,
    }  # fmt: skip


async def test_shadows_begin_only_where_there_is_room(world: World) -> None:
    """No more than two at a time, and none while requests have half of the rows."""
    world.engine.open.clear()
    for number in range(4):
        world.add(f"same {number}")
    await world.settle()
    assert world.engine.began == ["same 0", "same 1"]
    world.requests = 16
    world.engine.open.set()
    await world.settle()
    assert set(world.found) == {"same 0", "same 1"}
    world.requests = 14
    world.shadows.resume()
    await world.settle()
    assert set(world.found.values()) == {True}
    assert len(world.found) == 4


async def test_shadows_give_way_to_requests_and_begin_again(world: World) -> None:
    world.engine.open.clear()
    world.add("same")
    await world.settle()
    world.requests = 31
    world.shadows.give_way()
    await world.settle()
    assert world.in_engine == 1
    world.requests = 32
    world.shadows.give_way()
    await world.settle()
    assert world.in_engine == 0
    world.engine.open.set()
    world.shadows.resume()
    await world.settle()
    assert world.found == {}
    world.requests = 0
    world.shadows.resume()
    await world.settle()
    assert world.found == {"same": True}


async def test_a_shadow_does_not_take_the_last_slot_of_an_adapter(world: World) -> None:
    others = [version(number) for number in (2, 3)]
    async with contextlib.AsyncExitStack() as held:
        await held.enter_async_context(world.residency.use(others[0]))
        world.engine.open.clear()
        world.add("same")
        await world.settle()
        assert world.engine.began == ["same"]  # one slot is free
        await held.enter_async_context(world.residency.use(others[1]))
        world.shadows.give_way()
        world.shadows.resume()
        await world.settle()
        world.engine.open.set()
        await world.settle()
        assert world.found == {}
    world.shadows.resume()
    await world.settle()
    assert world.found == {"same": True}


async def test_what_waits_too_long_or_behind_too_many_is_skipped(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    monkeypatch.setattr(module, "MOST_WAITING", 2)
    world.requests = 32
    for number in range(3):
        world.add(f"same {number}")
    assert world.found == {"same 2": SkipReason.NO_ROOM}
    await asyncio.sleep(0.1)
    assert world.found == {f"same {number}": SkipReason.NO_ROOM for number in range(3)}


@pytest.mark.parametrize("how", ["closed", "draining"])
async def test_a_server_that_stops_gives_every_request_a_result(how: str, world: World) -> None:
    """What is known to differ counts as such, without its text: skipped, it would leave too many that are the same."""
    world.engine.answering.clear()
    world.add("differs")
    await world.settle()
    world.engine.open.clear()
    for text in ("same", "same waits"):
        world.add(text)
    await world.settle()
    if how == "closed":
        world.shadows.close()
    else:
        world.stopping = True
        world.add("same too late")
        world.shadows.resume()
    stopping = SkipReason.STOPPING
    late = {"same too late": stopping} if how == "draining" else {}
    assert world.found == {"differs": False, "same": stopping, "same waits": stopping, **late}
    world.engine.open.set()
    world.engine.answering.set()
    await world.settle()
    assert len(world.found) == 3 + len(late)


async def test_a_difference_that_is_known_outlives_giving_way(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.2)
    world.engine.answering.clear()
    world.add("differs")
    await world.settle()
    world.requests = 32
    world.shadows.give_way()
    await asyncio.sleep(0.3)
    assert world.found == {"differs": False}
    assert world.results[0].shadow_text is None
