"""Keeps what live experiments observe: answers and feedback go to the catalog, off the request path."""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from lorarack.registry.errors import NotFound
from lorarack.registry.experiment.observed import Answer, Feedback
from lorarack.registry.experiment.shadow import ShadowResult, SkipReason
from lorarack.registry.interface import Experiments
from lorarack.server.background import repeat
from lorarack.server.caller import Caller
from lorarack.server.exchange import Exchange, Observer
from lorarack.server.router import AssignedArm, Shadow
from lorarack.server.shadows import Shadows, skipped

log = logging.getLogger(__name__)

#: How often answers are written; a server that is killed loses those of this long.
FLUSH_SECONDS = 0.25
#: Answers that wait at most while the catalog cannot be written; then the oldest go.
MAX_PENDING = 100_000
#: How long feedback on an answer of another server waits for that one to write it.
OTHERS_SECONDS = 1.0


class ExperimentRecorder:
    """For one event loop. Writes run one after the other in a thread of their own.

    After each write the experiments in it are reviewed: guards stop arms within a flush, on every server within a poll more.
    """

    def __init__(
        self, experiments: Experiments, refresh: Callable[[], Awaitable[None]], shadows: Shadows | None = None
    ) -> None:
        """``refresh`` has this server see the registry as it is now; without ``shadows`` it gives no shadow answers."""
        self._experiments = experiments
        self._refresh = refresh
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lorarack-experiments")
        self._pending: list[Answer] = []
        self._results: list[ShadowResult] = []
        self._shadows = shadows
        if shadows is not None:
            shadows.tell(self._add_result)
        self._to_review: set[int] = set()
        self._flushing = asyncio.Lock()

    @property
    def observer(self) -> Observer:
        """What hears of the end of requests."""
        return Observer(end=self._add)

    def add_failure(self, arm: AssignedArm, caller: Caller) -> None:
        """A request failed before the arm's version could answer."""
        answer = _answer(arm, caller, None, failed=True)
        self._append(answer)
        if arm.shadow is not None:
            self._add_result(skipped(answer, SkipReason.FAILED))

    async def keep(self, seconds: float = FLUSH_SECONDS) -> None:
        """Write until cancelled, and then what is left."""
        try:
            await repeat("What experiments observe cannot be kept", self.flush, seconds)
        finally:
            # Here and now: the loop is about to end, and with it what it would have waited for.
            if self._shadows is not None:
                self._shadows.close()
            self._thread.shutdown(wait=True)
            self._write_rest()

    async def flush(self) -> None:
        """Write what was observed since the last time, and review the experiments that it belongs to.

        Raises:
            StoreError: the catalog cannot be written; nothing is lost.
        """
        async with self._flushing:
            answers, self._pending = self._pending, []
            results, self._results = self._results, []
            if not answers and not results and not self._to_review:
                return
            loop = asyncio.get_running_loop()
            try:
                await loop.run_in_executor(self._thread, self._experiments.record, answers, results)
            except BaseException:
                self._pending = (answers + self._pending)[-MAX_PENDING:]
                self._results = (results + self._results)[-MAX_PENDING:]
                raise
            seen = {answer.experiment for answer in answers} | {result.experiment for result in results}
            idents, self._to_review = self._to_review | seen, set()
            if await loop.run_in_executor(self._thread, self._review, idents):
                await self._refresh()

    async def add_feedback(self, completion: str, key: str, metric: str, value: float) -> Feedback:
        """Store feedback on an answer.

        Raises:
            UsageError: not a value of that metric.
            NotFound: ``key`` was given no such answer of an experiment.
            Conflict: another metric or value, too late, or the experiment has ended.
            StoreError: the catalog cannot be written.
        """
        if any(answer.completion == completion for answer in self._pending) or self._flushing.locked():
            await self.flush()
        loop, said = asyncio.get_running_loop(), (completion, key, metric, value)
        try:
            feedback = await loop.run_in_executor(self._thread, self._experiments.add_feedback, *said)
        except NotFound:
            await asyncio.sleep(OTHERS_SECONDS)
            feedback = await loop.run_in_executor(self._thread, self._experiments.add_feedback, *said)
        self._to_review.add(feedback.experiment)
        return feedback

    def _add(self, exchange: Exchange) -> None:
        route = exchange.route
        if route is None or route.arm is None:
            return
        failed = exchange.status is not None and exchange.status >= 500
        answer = _answer(route.arm, exchange.caller, exchange.completion, failed=failed)
        answer = answer.model_copy(update={"at": datetime.now(UTC) - timedelta(seconds=exchange.elapsed())})
        if exchange.status is not None and exchange.status < 400:
            answer = answer.model_copy(update={"seconds": _latencies(exchange)})
        self._append(answer)
        self._have_shadowed(exchange, answer, route.arm.shadow)

    def _have_shadowed(self, exchange: Exchange, answer: Answer, shadow: Shadow | SkipReason | None) -> None:
        if isinstance(shadow, SkipReason):
            self._add_result(skipped(answer, shadow))
        elif shadow is not None and self._shadows is not None:
            self._shadows.add(exchange, answer, shadow)
        elif shadow is not None:
            self._add_result(skipped(answer, SkipReason.FORM))

    def _add_result(self, result: ShadowResult) -> None:
        self._results.append(result)
        if len(self._results) > MAX_PENDING:
            del self._results[: MAX_PENDING // 10]

    def _append(self, answer: Answer) -> None:
        self._pending.append(answer)
        if len(self._pending) > MAX_PENDING:
            del self._pending[: MAX_PENDING // 10]
            log.warning("Experiments: the catalog cannot be written; %d answers were dropped.", MAX_PENDING // 10)

    def _review(self, idents: set[int]) -> bool:
        """Whether arms were stopped, or experiments have ended, that this server may not know of."""
        changed = False
        for ident in idents:
            try:
                experiment = self._experiments.review(ident)
            except NotFound:  # of a catalog that was brought back from a copy since
                changed = True
                continue
            changed = changed or experiment.ended_at is not None or len(experiment.open_arms) < len(experiment.arms)
        return changed

    def _write_rest(self) -> None:
        try:
            self._experiments.record(self._pending, self._results)
        except Exception:
            log.warning("The last answers of experiments could not be written.", exc_info=True)


def _answer(arm: AssignedArm, caller: Caller, completion: str | None, *, failed: bool) -> Answer:
    return Answer(
        experiment=arm.experiment,
        arm=arm.name,
        caller=arm.user,
        key=caller.name,
        completion=completion or f"none:{uuid.uuid4()}",
        failed=failed,
    )


def _latencies(exchange: Exchange) -> dict[str, float]:
    """Time to the first byte, between two tokens where the answer came in pieces, and of the whole."""
    whole, first, usage = exchange.seconds or 0.0, exchange.first_byte, exchange.usage
    found = {"e2e": whole}
    if first is not None:
        found["ttft"] = first
        # An answer that comes whole has all of its tokens in its first byte.
        if usage is not None and usage.completion > 1 and whole > 1.05 * first:
            found["itl"] = (whole - first) / (usage.completion - 1)
    return found
