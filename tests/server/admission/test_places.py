"""Whatever becomes of requests (answered, failed, cut off while they wait or run), their places come back."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.server.values import LIMITS, version

from lorarack.registry.errors import RateLimited
from lorarack.server.admission.fair_queue import FairQueue, QueueLimits
from lorarack.server.admission.quotas import Quotas
from lorarack.server.caller import Caller
from lorarack.server.exchange import Exchange, Usage
from lorarack.server.policies.admit import Admit
from lorarack.server.router import Ask, Route
from lorarack.server.settings import AdmissionLimits

BASE = Route(LIMITS.base, LIMITS.base, LIMITS.fingerprint)
ADAPTERS = ("a", "b", "c")


def route_to(adapter: str) -> Route:
    found = version(adapter=adapter)
    return Route(found.reference, found.reference, found.digest, found)


class Requests:
    """Requests of three adapters and two keys, each at the command of the test."""

    def __init__(self, rows: int, waiting: int | None, at_once: int | None) -> None:
        self.queue = FairQueue(QueueLimits(rows, waiting))
        self.quotas = Quotas("adapter", at_once, None), Quotas("key", at_once, None)
        self.admit = Admit(self.queue, *self.quotas)
        self.rows = rows
        self.tasks: list[asyncio.Task[None]] = []
        self.ends: list[asyncio.Event] = []

    async def one(self, adapter: str, key: str, end: asyncio.Event, fails: bool) -> None:
        exchange = Exchange(Caller(key), "POST /v1/completions")
        try:
            async with self.admit(Ask(adapter, tokens=10), exchange.caller, route_to(adapter)) as exchange.route:
                await end.wait()
                if fails:
                    raise ValueError("the engine failed")
                exchange.usage = Usage(10, 5)
        except (RateLimited, ValueError):
            pass
        finally:
            self.admit.observer.end(exchange)

    async def do(self, action: tuple[str, int]) -> None:
        kind, number = action
        if kind in ("ask", "ask and fail"):
            self.ends.append(end := asyncio.Event())
            adapter, key = ADAPTERS[number % 3], f"key-{number % 2}"
            self.tasks.append(asyncio.create_task(self.one(adapter, key, end, kind == "ask and fail")))
        elif self.tasks:
            which = number % len(self.tasks)
            self.ends[which].set() if kind == "end" else self.tasks[which].cancel()
        if number % 3:  # else the next thing happens before anybody has run
            for _ in range(4):
                await asyncio.sleep(0)
            waiting = sum(self.queue.waiting(adapter) for adapter in ADAPTERS)
            assert self.queue.running <= self.rows
            assert not waiting or self.queue.running == self.rows, "a row is idle while somebody waits"


ACTIONS = st.tuples(st.sampled_from(["ask", "ask", "ask and fail", "end", "hang up"]), st.integers(0, 40))


@settings(deadline=None)
@given(st.lists(ACTIONS, max_size=60), st.integers(1, 3), st.sampled_from([None, 1, 4]), st.sampled_from([None, 2]))
def test_every_place_comes_back(
    actions: Sequence[tuple[str, int]], rows: int, waiting: int | None, at_once: int | None
) -> None:
    async def history() -> None:
        requests = Requests(rows, waiting, at_once)
        for action in actions:
            await requests.do(action)
        for end in requests.ends:
            end.set()
        await asyncio.wait_for(asyncio.gather(*requests.tasks, return_exceptions=True), 5)
        assert requests.queue.running == 0
        assert [requests.queue.waiting(adapter) for adapter in ADAPTERS] == [0, 0, 0]
        assert [dict(quotas._running) for quotas in requests.quotas] == [{}, {}]

    asyncio.run(history())


async def test_counting_tokens_takes_no_place() -> None:
    admit = Admit.within(AdmissionLimits(max_running=1, adapter_concurrency=1), rows=1)
    async with (
        admit(Ask("a"), Caller("k"), route_to("a")) as first,
        admit(Ask("a", load=False), Caller("k"), route_to("a")) as second,
    ):
        assert first.place is not None
        assert second.place is None


async def test_the_limits_are_the_adapters_whichever_version_and_the_keys_whichever_adapter() -> None:
    admit = Admit.within(AdmissionLimits(adapter_concurrency=1), rows=8)
    async with admit(Ask("a"), Caller("k"), route_to("a")):
        other = version(2, adapter="a")
        with pytest.raises(RateLimited, match="of the adapter 'a'"):
            async with admit(Ask("a@2"), Caller("other"), Route("a@2", "a@2", other.digest, other)):
                raise AssertionError("let in")
        async with admit(Ask(""), Caller("k"), BASE):
            pass
    admit = Admit.within(AdmissionLimits(key_concurrency=1), rows=8)
    async with admit(Ask("a"), Caller("k"), route_to("a")):
        with pytest.raises(RateLimited, match="of the key 'k'"):
            async with admit(Ask("b"), Caller("k"), route_to("b")):
                raise AssertionError("let in")
        async with admit(Ask("b"), Caller("other"), route_to("b")):
            pass


@pytest.mark.parametrize(
    ("status", "usage", "over"), [(200, Usage(60, 60), True), (400, None, False), (200, None, False)]
)
async def test_a_budget_pays_for_what_was_answered(status: int, usage: Usage | None, over: bool) -> None:
    """A refused request costs nothing; one without a count costs about what its body says."""
    admit = Admit.within(AdmissionLimits(key_tokens_per_minute=100), rows=1)
    exchange = Exchange(Caller("k"), "POST /v1/completions")
    async with admit(Ask("a", tokens=50), exchange.caller, route_to("a")) as exchange.route:
        pass
    exchange.status, exchange.usage = status, usage
    admit.observer.end(exchange)
    if over:
        with pytest.raises(RateLimited, match="100 tokens a minute"):
            async with admit(Ask("b"), exchange.caller, route_to("b")):
                raise AssertionError("let in")
    else:
        async with admit(Ask("b"), exchange.caller, route_to("b")):
            pass


async def test_alone_nobody_waits() -> None:
    """Without limits, and below the engine's rows, the way is as if there were none."""
    admit = Admit.within(AdmissionLimits(), rows=8)
    held = [admit(Ask("a", tokens=10), Caller("k"), route_to("a")) for _ in range(9)]
    for each in held:
        await asyncio.wait_for(each.__aenter__(), 0.5)
    for each in held:
        await each.__aexit__(None, None, None)
