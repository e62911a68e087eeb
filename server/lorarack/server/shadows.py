"""Shadow answers of live experiments: the other arm answers a request that has ended, in rows that nobody else wants.

Nothing here is on the way of a request: a shadow begins after its request has ended, gives way to those that come, and what becomes
of it is told to the record alone. Every request of an experiment with shadows gets exactly one result.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Set
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any, Protocol

from lorarack.registry.experiment.observed import Answer
from lorarack.registry.experiment.shadow import MOST_CHARACTERS, ShadowResult, SkipReason
from lorarack.server.exchange import Exchange, ServedText
from lorarack.server.residency import Residency
from lorarack.server.residency_table import Key, key_of
from lorarack.server.router import Shadow

log = logging.getLogger(__name__)

#: Seconds that a shadow waits for room.
PATIENCE = 30.0
#: Shadows that wait at most.
MOST_WAITING = 1024


class ShadowEngine(Protocol):
    """What answers again. Any exception: it could not."""

    def takes(self, served: ServedText) -> bool:
        """Whether that can be asked again: one text for one prompt of tokens."""

    def is_greedy(self, served: ServedText) -> bool:
        """Whether each token of it is the likeliest one, so that `first_difference` can tell."""

    async def first_difference(self, served: ServedText, name: str) -> int | None:
        """The place of the first token that version ``name`` would not have given, from one prefill; None: all are its own."""

    async def answer(self, served: ServedText, name: str, start: int) -> tuple[list[int], str]:
        """The tokens and the text that ``name`` answers, the first ``start`` tokens as in ``served``."""


@dataclass(frozen=True, slots=True)
class Room:
    """How much of the engine requests leave to shadows.

    A shadow begins while it and all others take no more than half of the rows, of which a sixteenth are shadows', and an adapter's
    slot is free for it. Once requests need more than the rest of the rows, or of the slots, shadows give way.

    Attributes:
        rows: requests that the engine computes at once.
        slots: adapters that one batch can have.
        requests: in the engine now, without shadows.
    """

    rows: int
    slots: int
    requests: Callable[[], int]

    def has(self, shadows: int, versions: Set[Key]) -> bool:
        """Whether one more may begin, that makes it ``shadows``, with ``versions`` in the batch."""
        within = shadows <= max(1, self.rows // 16) and self.requests() + shadows <= max(1, self.rows // 2)
        return within and len(versions) <= self.slots

    def is_short(self, shadows: int, versions: Set[Key]) -> bool:
        """Whether one of ``shadows`` has to give way."""
        return self.requests() + shadows > self.rows or len(versions) > self.slots


@dataclass(eq=False, slots=True)
class _Job:
    answer: Answer
    served: ServedText
    shadow: Shadow
    until: float
    differs_at: int | None = None
    task: "asyncio.Task[None] | None" = field(default=None, repr=False)


class Shadows:
    """For one event loop."""

    def __init__(self, engine: ShadowEngine, residency: Residency, room: Room, is_stopping: Callable[[], bool]) -> None:
        """``is_stopping``: whether the server takes no more requests."""
        self._engine = engine
        self._residency = residency
        self._room = room
        self._is_stopping = is_stopping
        self._waiting: deque[_Job] = deque()
        self._running: list[_Job] = []
        self._record: Callable[[ShadowResult], None] = lambda result: None

    def tell(self, record: Callable[[ShadowResult], None]) -> None:
        """Have ``record`` called with each result."""
        self._record = record

    def add(self, exchange: Exchange, answer: Answer, shadow: Shadow) -> None:
        """The request of ``exchange`` has ended, with ``answer``: have ``shadow`` answer it as well, or say why not."""
        reason = self._reason_to_skip(exchange)
        if reason is not None:
            self._record(skipped(answer, reason))
            return
        self._waiting.append(_Job(answer, exchange.served[0], shadow, time.monotonic() + PATIENCE))
        asyncio.get_running_loop().call_later(PATIENCE, self.resume)
        self.resume()

    def resume(self) -> None:
        """Begin what there is room for, and let go what has waited too long."""
        if self._is_stopping():
            self.close()
            return
        now = time.monotonic()
        while self._waiting and self._waiting[0].until <= now:
            self._give_up(self._waiting.popleft(), SkipReason.NO_ROOM)
        while self._waiting and self._room.has(len(self._running) + 1, self._versions(self._waiting[0])):
            job = self._waiting.popleft()
            self._running.append(job)
            # In a context of its own: what is answered there belongs to no request.
            job.task = asyncio.get_running_loop().create_task(self._run(job), context=Context())

    def give_way(self) -> None:
        """A request has come: shadows that take its row or its slot wait again."""
        while self._running and self._room.is_short(len(self._running), self._versions()):
            job = self._running.pop()
            self._cancel(job)
            self._waiting.appendleft(job)

    def close(self) -> None:
        """End all of them."""
        for job in (*self._running, *self._waiting):
            self._cancel(job)
            self._give_up(job, SkipReason.STOPPING)
        self._running.clear()
        self._waiting.clear()

    def _reason_to_skip(self, exchange: Exchange) -> SkipReason | None:
        if exchange.status is not None and exchange.status >= 400:
            return SkipReason.FAILED
        if exchange.status is None or any(not each.finished for each in exchange.served):
            return SkipReason.ABORTED
        if len(exchange.served) != 1 or not self._engine.takes(exchange.served[0]):
            return SkipReason.FORM
        if self._is_stopping():
            return SkipReason.STOPPING
        return SkipReason.NO_ROOM if len(self._waiting) >= MOST_WAITING else None

    def _versions(self, *more: _Job) -> Set[Key]:
        """Those in the batch, with shadows and ``more``."""
        mine = [key_of(job.shadow.version) for job in self._running]
        others = {row.key for row in self._residency.table if row.requests > mine.count(row.key)}
        return others | set(mine) | {key_of(job.shadow.version) for job in more}

    def _cancel(self, job: _Job) -> None:
        if job.task is not None:
            job.task.cancel()
            job.task = None

    async def _run(self, job: _Job) -> None:
        task = asyncio.current_task()
        try:
            result = await self._answered(job)
        except Exception as error:  # noqa: BLE001 - whatever it is, no request may hear of it
            log.info("%s did not answer in shadow: %s: %s", job.shadow.version.reference, type(error).__name__, error)
            result = None
        if job.task is not task:  # it had to give way in this very moment
            return
        self._running.remove(job)
        if result is not None:
            self._record(result)
        else:
            self._give_up(job, SkipReason.ENGINE_FAILED)
        self.resume()

    async def _answered(self, job: _Job) -> ShadowResult:
        name = job.shadow.version.reference
        async with self._residency.use(job.shadow.version):
            if job.differs_at is None and self._engine.is_greedy(job.served):
                job.differs_at = await self._engine.first_difference(job.served, name)
                if job.differs_at is None:
                    return self._result(job, same=True)
            tokens, text = await self._engine.answer(job.served, name, job.differs_at or 0)
        return self._result(job, same=tokens == job.served.tokens, text=text)

    def _give_up(self, job: _Job, reason: SkipReason) -> None:
        """Without the rest of an answer that is known to differ: were it skipped, those that are the same would be too many."""
        known = job.differs_at is not None
        self._record(self._result(job, same=False) if known else skipped(job.answer, reason))

    def _result(self, job: _Job, *, same: bool, text: str | None = None) -> ShadowResult:
        known: dict[str, Any] = {"experiment": job.answer.experiment, "completion": job.answer.completion}
        if not same:
            known |= {"text": _short(job.served.text), "shadow_text": None if text is None else _short(text)}
        return ShadowResult(arm=job.answer.arm, other=job.shadow.arm, share=job.shadow.share, same=same, **known)


def skipped(answer: Answer, reason: SkipReason) -> ShadowResult:
    """No shadow for the request that ``answer`` answered."""
    return ShadowResult(experiment=answer.experiment, completion=answer.completion, arm=answer.arm, skipped=reason)


def _short(text: str) -> str:
    return text.replace("\0", "\ufffd")[:MOST_CHARACTERS]
