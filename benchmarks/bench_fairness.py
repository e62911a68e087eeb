"""``make bench-fairness``: what the queue before the engine keeps, on an engine of a simulated clock.

The queue and its limits are the server's own. The engine is a clock: it has rows, in each step every request in a row gets one
token, and what is admitted in one step can run in the next but one, as behind HTTP. So the figures are the policy's and not this
machine's. Beside it runs the engine alone: first come, first served.
"""

import asyncio
import random
import sys
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import numpy as np
from benchmarks.report import Row, report, seconds

from lorarack.server.admission.fair_queue import FairQueue, QueueLimits
from lorarack.server.admission.token_counters import TokenCounters
from lorarack.server.policies.admit import STEPS_AHEAD

ROWS = 16
STEP = 0.02
#: Tokens that the longest request reads and generates.
READ, GENERATED = 400, 120
#: Steps between a turn and a row.
_LAG = 2
_ENDLESS = 10**9


@dataclass(eq=False, slots=True)
class Running:
    """A request in the engine."""

    ready_at: int
    left: int
    adapter: str
    done: asyncio.Event = field(default_factory=asyncio.Event)


class Engine:
    """Rows that make a token a step, behind the fair queue, or (``fair`` false) behind none."""

    def __init__(self, *, fair: bool) -> None:
        self.fair, self.number = fair, 0
        limits = QueueLimits(ROWS, steps_ahead=STEPS_AHEAD) if fair else QueueLimits(_ENDLESS)
        self._queue = FairQueue(limits, clock=lambda: self.number * STEP)
        self._chance = random.Random(7)
        self._inside: deque[Running] = deque()
        self._rows: list[Running] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.served: Counter[str] = Counter()
        self.tokens = 0
        self.waits: list[float] = []
        self.freed: list[int] = []

    async def answer(self, adapter: str, read: int, generated: int) -> int:
        """Have one request answered; the steps that it waited for a row."""
        arrived = self.number
        async with self._queue.admitted(adapter, read) as place:
            request = Running(self.number + _LAG, generated, adapter)
            self._inside.append(request)
            self.served[adapter] += int(TokenCounters.READ_COST * read)
            await request.done.wait()
        place.settle(read, generated)
        return self.number - generated - arrived

    def clients(self, adapter: str, count: int, share: float = 1.0) -> None:
        """Clients that send the next request, of up to ``share`` of the longest, when they have their answer."""

        async def ask_for_ever() -> None:
            while True:
                read, generated = (self._chance.randint(1, int(most * share)) for most in (READ, GENERATED))
                await self.answer(adapter, read, generated)

        self.tasks += [asyncio.create_task(ask_for_ever()) for _ in range(count)]

    def seldom(self, adapter: str) -> None:
        """A client that pauses between its requests."""

        async def ask_now_and_then() -> None:
            while True:
                until = self.number + self._chance.randint(50, 250)
                while self.number < until:
                    await asyncio.sleep(0)
                self.waits.append(STEP * await self.answer(adapter, 50, 20))

        self.tasks.append(asyncio.create_task(ask_now_and_then()))

    async def run(self, steps: int, each: Callable[[], None] = lambda: None) -> None:
        """Let that many steps pass."""
        for _ in range(steps):
            for _ in range(6):  # whoever can go on does so before the clock moves
                await asyncio.sleep(0)
            self.number += 1
            while len(self._rows) < ROWS and self._inside and self._inside[0].ready_at <= self.number:
                self._rows.append(self._inside.popleft())
            for request in self._rows:
                request.left -= 1
                self.tokens += 1
                self.served[request.adapter] += int(TokenCounters.GENERATED_COST)
                if not request.left:
                    self.freed.append(self.number)
                    request.done.set()
            self._rows = [request for request in self._rows if request.left]
            each()


@asynccontextmanager
async def engine(*, fair: bool) -> AsyncIterator[Engine]:
    """An engine whose clients go with the block."""
    made = Engine(fair=fair)
    try:
        yield made
    finally:
        for task in made.tasks:
            task.cancel()
        await asyncio.gather(*made.tasks, return_exceptions=True)


async def largest_gap(*, fair: bool, steps: int) -> float:
    """In served tokens, between two adapters that always have requests waiting: one has more of them, and longer ones."""
    async with engine(fair=fair) as made:
        made.clients("hot", 96)
        made.clients("other", 32, share=0.4)
        gaps: list[int] = []
        await made.run(steps, lambda: gaps.append(abs(made.served["hot"] - made.served["other"])))
        return max(gaps)


async def cold_waits(*, fair: bool, steps: int) -> tuple[float, float]:
    """99th percentiles: of the seconds that a seldom used adapter waits beside a hot one, and of those between two free rows."""
    async with engine(fair=fair) as made:
        made.clients("hot", 96)
        made.seldom("cold")
        await made.run(steps)
        between = STEP * np.diff(sorted(set(made.freed)))
        # Until a row is free, seen from any moment: a long gap is met as often as it is long.
        met = np.repeat(between, np.round(between / STEP).astype(int))
        return float(np.percentile(made.waits, 99)), float(np.percentile(met, 99)) + _LAG * STEP


async def throughput(*, fair: bool, steps: int, share: float) -> float:
    """Generated tokens a step, of three adapters that have more requests than there are rows, of up to ``share`` of the longest."""
    async with engine(fair=fair) as made:
        for adapter in ("a", "b", "c"):
            made.clients(adapter, 16, share)
        await made.run(steps)
        return made.tokens / steps


def rows(steps: int) -> list[Row]:
    """The three questions."""
    fair_gap, plain_gap = (asyncio.run(largest_gap(fair=fair, steps=steps)) for fair in (True, False))
    bound = 2 * max(
        TokenCounters.READ_COST * READ,
        TokenCounters.GENERATED_COST * QueueLimits(ROWS, steps_ahead=STEPS_AHEAD).inside(GENERATED / 2) * GENERATED,
    )
    (waits, share), (plain_waits, _) = (asyncio.run(cold_waits(fair=fair, steps=steps)) for fair in (True, False))
    return [
        Row(
            "two backlogged adapters: gap of served tokens", f"{fair_gap:,.0f}", f"{bound:,.0f}", fair_gap / bound,
            "VTC's bound: <= 1", fair_gap <= bound, f"first come, first served: {plain_gap:,.0f} after {steps:,} steps",
        ),
        Row(
            "cold adapter under saturation: p99 wait", seconds(waits), seconds(share), waits / share,
            "<= 1.5 of p99 until a row is free", waits / share <= 1.5, f"first come, first served: {seconds(plain_waits)}",
        ),
        *(_throughput(share, steps) for share in (1.0, 0.1)),
    ]  # fmt: skip


def _throughput(share: float, steps: int) -> Row:
    ours, plain = (asyncio.run(throughput(fair=fair, steps=steps, share=share)) for fair in (True, False))
    return Row(
        f"throughput, up to {GENERATED * share:.0f} tokens a request, tokens a step", f"{ours:.1f}", f"{plain:.1f}", ours / plain,
        ">= 0.98 of first come, first served", ours / plain >= 0.98,
    )  # fmt: skip


def main() -> None:
    """Run them, for as many steps as the first argument says."""
    report("fairness", rows(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000))


if __name__ == "__main__":
    main()
