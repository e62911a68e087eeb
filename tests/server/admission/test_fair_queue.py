"""A hot adapter cannot starve a cold one, and nobody waits while the engine has room."""

import asyncio
from collections import defaultdict
from collections.abc import Callable

import pytest

from lorarack.registry.errors import RateLimited
from lorarack.server.admission.fair_queue import FairQueue, QueueLimits

ROWS = 4
#: The most that one request costs: tokens read and twice the tokens generated.
READ, GENERATED = 30, 20


class Engine:
    """Makes one token for each running request in each step."""

    def __init__(self, limits: QueueLimits) -> None:
        self.now = 0.0
        self.queue = FairQueue(limits, clock=lambda: self.now)
        self.steps = asyncio.Condition()
        self.served: dict[str, float] = defaultdict(float)
        self.waited: dict[str, list[float]] = defaultdict(list)
        self.idle_rows = 0

    async def request(self, adapter: str, read: int = READ, generated: int = GENERATED) -> None:
        asked = self.now
        async with self.queue.admitted(adapter, read) as place:
            self.waited[adapter].append(self.now - asked)
            self.served[adapter] += read
            for _ in range(generated):
                async with self.steps:
                    await self.steps.wait()
                self.served[adapter] += 2
        place.settle(read, generated)

    async def run(self, steps: int, each: Callable[[], None] = lambda: None, seconds: float = 0.01) -> None:
        for _ in range(steps):
            for _ in range(6):
                await asyncio.sleep(0)
            self.now += seconds
            self.idle_rows += ROWS - self.queue.running
            each()
            async with self.steps:
                self.steps.notify_all()


@pytest.fixture
def engine() -> Engine:
    return Engine(QueueLimits(ROWS, waiting=1000, patience=0, slack=0))


def backlog(engine: Engine, adapter: str, count: int, **sizes: int) -> list[asyncio.Task[None]]:
    return [asyncio.create_task(engine.request(adapter, **sizes)) for _ in range(count)]


async def end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_two_backlogged_adapters_are_served_alike_however_many_requests_they_have(engine: Engine) -> None:
    """The bound of the paper: twice the larger of one request's tokens read and a whole batch's tokens generated."""
    tasks = backlog(engine, "hot", 400) + backlog(engine, "cold", 400, read=10, generated=5)
    gaps: list[float] = []
    await engine.run(200, lambda: gaps.append(abs(engine.served["hot"] - engine.served["cold"])))
    assert engine.queue.waiting("hot")
    assert engine.queue.waiting("cold")
    assert max(gaps) <= 2 * max(READ, 2 * ROWS * GENERATED)
    assert engine.idle_rows == 0
    await end(tasks)


async def test_first_come_first_served_would_not_pass_that(engine: Engine) -> None:
    """One adapter for both is a plain queue: the cold requests wait for all the hot ones."""
    tasks = backlog(engine, "one", 400) + backlog(engine, "one", 1)
    await engine.run(200)
    assert not tasks[-1].done()
    await end(tasks)


async def test_a_cold_adapter_waits_for_a_row_and_not_for_the_hot_ones_backlog(engine: Engine) -> None:
    tasks = backlog(engine, "hot", 400)
    await engine.run(100)
    tasks += backlog(engine, "cold", 1)
    await engine.run(GENERATED + 2)
    assert engine.waited["cold"][0] <= (GENERATED + 2) * 0.01
    await end(tasks)


async def test_nobody_saves_up_a_right_to_be_served(engine: Engine) -> None:
    """Who had nothing to do for long gets from now on half, and not everything until it has caught up."""
    tasks = backlog(engine, "hot", 400)
    await engine.run(400)
    before = engine.served["hot"]
    tasks += backlog(engine, "cold", 400)
    await engine.run(200)
    assert engine.served["hot"] - before == pytest.approx(engine.served["cold"], rel=0.35)
    await end(tasks)


async def test_rows_are_never_idle_while_somebody_waits_whoever_it_is(engine: Engine) -> None:
    tasks = backlog(engine, "only", 100)
    await engine.run(100)
    assert engine.idle_rows == 0
    await end(tasks)


async def test_who_waits_long_goes_first_whatever_it_was_served() -> None:
    engine = Engine(QueueLimits(1, patience=10_000, slack=0))
    running = backlog(engine, "hot", 1, generated=50)
    await engine.run(1)
    old = backlog(engine, "hot", 1)
    await engine.run(30)
    new = backlog(engine, "cold", 1)
    await engine.run(22)
    assert [engine.queue.waiting(name) for name in ("hot", "cold")] == [0, 1]
    await end(running + old + new)


async def test_an_adapter_in_the_batch_goes_first_within_the_slack() -> None:
    """Fewer adapters in a batch are less work for the engine."""
    batched = {}
    for slack in (0, 10_000):
        engine = Engine(QueueLimits(3, patience=0, slack=slack))
        first = backlog(engine, "a", 1, generated=60) + backlog(engine, "a", 1, generated=3)
        first += backlog(engine, "b", 1, generated=5)
        await engine.run(2)
        rest = backlog(engine, "c", 3) + backlog(engine, "a", 3)
        await engine.run(8)  # the short one of "a" ends and is charged for, then that of "b"
        batched[slack] = engine.queue.waiting("a")
        await end(first + rest)
    assert batched == {0: 2, 10_000: 1}


# Limits, and clients that hang up


async def test_too_many_waiting_are_told_when_to_come_back() -> None:
    engine = Engine(QueueLimits(1, waiting=2))
    tasks = backlog(engine, "hot", 3)
    await engine.run(1)
    with pytest.raises(RateLimited, match="2 requests to hot wait already") as refused:
        await engine.request("hot")
    assert refused.value.retry_after >= 1
    other = asyncio.create_task(engine.request("cold", generated=1))  # it has a queue of its own
    await engine.run(1)
    assert engine.queue.waiting("cold") == 1
    await end([*tasks, other])


@pytest.mark.parametrize("when", ["waiting", "just admitted", "running"])
async def test_a_client_that_hangs_up_leaves_no_trace(when: str) -> None:
    engine = Engine(QueueLimits(1))
    (first,) = backlog(engine, "a", 1)
    await engine.run(1)
    (second,) = backlog(engine, "b", 1)
    await engine.run(1)
    if when != "waiting":
        first.cancel()
        await asyncio.sleep(0)
        if when == "running":
            await engine.run(1)
    second.cancel()
    await engine.run(2)
    first.cancel()
    await engine.run(2)
    assert (engine.queue.running, engine.queue.waiting("a"), engine.queue.waiting("b")) == (0, 0, 0)
    (third,) = backlog(engine, "c", 1, generated=1)
    await engine.run(3)
    assert third.done()
    await asyncio.gather(first, second, return_exceptions=True)


async def test_an_error_in_the_engine_frees_the_row() -> None:
    queue = FairQueue(QueueLimits(1))
    with pytest.raises(RuntimeError):
        async with queue.admitted("a", 1):
            raise RuntimeError
    async with queue.admitted("b", 1):
        assert queue.running == 1
    assert queue.running == 0
