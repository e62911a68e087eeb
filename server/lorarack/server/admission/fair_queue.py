"""The queue before the engine: as many requests inside as it has rows for, the rest in turn by adapter."""

import asyncio
import math
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from lorarack.registry.errors import RateLimited
from lorarack.server.admission.token_counters import TokenCounters
from lorarack.server.spans import span


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """What the queue is held to.

    Attributes:
        running: requests inside the engine at once.
        waiting: requests of one adapter that may wait; the next one is refused. None: any number.
        steps_ahead: steps of the engine from the end of an answer to the first step of the request that takes its place. As many
            requests more are let in as end in them, so that no row idles while somebody waits. 0: none.
        patience: tokens that one second of waiting is worth: who waits long goes first, whatever others were served.
        slack: tokens by which an adapter that is already in the batch may be ahead and still go first. It saves the engine another
            adapter in the batch, and costs the others at most so much.
    """

    running: int
    waiting: int | None = None
    steps_ahead: float = 0.0
    patience: float = 20.0
    slack: float = 64.0

    def inside(self, tokens_each: float) -> int:
        """Requests inside the engine at once where each generates so many tokens, of which a row makes one a step."""
        return self.running + min(self.running, math.ceil(self.steps_ahead * self.running / max(1.0, tokens_each)))


@dataclass(eq=False, slots=True)
class _Waiting:
    adapter: str
    tokens: int
    since: float
    expected: float = 0.0
    turn: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


@dataclass(slots=True)
class Place:
    """A request inside the engine, and what its adapter was charged for it so far: at first what it will take, about."""

    adapter: str
    read: int
    generated: float
    _counters: TokenCounters

    def settle(self, read: int, generated: int) -> None:
        """What it took, once that is known."""
        self._counters.charge(self.adapter, read - self.read, generated - self.generated)
        self._counters.expect(self.adapter, generated)
        self.read, self.generated = read, generated


class FairQueue:
    """Admits requests so that adapters with requests waiting are served alike. For one event loop."""

    def __init__(self, limits: QueueLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._counters = TokenCounters()
        self._waiting: dict[str, deque[_Waiting]] = {}
        self._running: Counter[str] = Counter()
        self._seconds_a_request = 1.0

    @property
    def running(self) -> int:
        """Requests inside the engine."""
        return self._running.total()

    def waiting(self, adapter: str) -> int:
        """Requests of ``adapter`` that wait."""
        return len(self._waiting.get(adapter, ()))

    @asynccontextmanager
    async def admitted(self, adapter: str, tokens: int) -> AsyncIterator[Place]:
        """Inside the block the request may run; it is awaited until its turn comes.

        Args:
            adapter: whose request it is.
            tokens: what the engine has to read, about.

        Raises:
            RateLimited: too many requests of this adapter wait already.
        """
        if self._limits.waiting is not None and self.waiting(adapter) >= self._limits.waiting:
            seconds = math.ceil(self.waiting(adapter) * self._seconds_a_request / max(1, self._running[adapter]))
            raise RateLimited(
                f"{self._limits.waiting} requests to {adapter} wait already; try again in {seconds} s.",
                retry_after=seconds,
            )
        if not self._running[adapter] and not self.waiting(adapter):
            self._counters.arrive(adapter, self._active())
        request = _Waiting(adapter, tokens, self._clock())
        self._waiting.setdefault(adapter, deque()).append(request)
        self._admit()
        try:
            with span("lorarack.queue"):
                await request.turn
        except asyncio.CancelledError:
            self._give_up(request)
            raise
        began = self._clock()
        try:
            yield Place(adapter, tokens, request.expected, self._counters)
        finally:
            self._leave(adapter)
            # A moving average: what the last twenty or so requests took.
            self._seconds_a_request += 0.05 * (self._clock() - began - self._seconds_a_request)

    def _active(self) -> Iterator[str]:
        yield from self._waiting
        yield from self._running

    def _admit(self) -> None:
        while self._waiting and self.running < self._limits.inside(self._counters.tokens_each):
            adapter = self._next()
            queue = self._waiting[adapter]
            request = queue.popleft()
            if not queue:
                del self._waiting[adapter]
            if request.turn.cancelled():  # its client hung up; the task that waits has not run since
                continue
            self._running[adapter] += 1
            request.expected = self._counters.expected(adapter)
            self._counters.charge(adapter, request.tokens, request.expected)
            request.turn.set_result(None)

    def _next(self) -> str:
        now = self._clock()
        due = {
            adapter: self._counters[adapter] - self._limits.patience * (now - queue[0].since)
            for adapter, queue in self._waiting.items()
        }
        first = min(due, key=due.__getitem__)
        batched = [
            adapter for adapter in due if self._running[adapter] and due[adapter] <= due[first] + self._limits.slack
        ]
        return min(batched, key=due.__getitem__, default=first)

    def _give_up(self, request: _Waiting) -> None:
        """Its client hung up: while it waited, or in the moment between its turn and its start."""
        if request.turn.done() and not request.turn.cancelled():
            self._counters.charge(request.adapter, -request.tokens, -request.expected)
            self._leave(request.adapter)
            return
        queue = self._waiting.get(request.adapter, deque())
        if request in queue:
            queue.remove(request)
            if not queue:
                del self._waiting[request.adapter]

    def _leave(self, adapter: str) -> None:
        self._running[adapter] -= 1
        if not self._running[adapter]:
            del self._running[adapter]
        self._admit()
