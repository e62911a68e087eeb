"""Work beside requests: tasks that run as long as the server and survive errors, threads that give way to the engine's."""

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress

from lorarack.registry.errors import LorarackError

log = logging.getLogger(__name__)

#: Seconds; the longest pause after repeated failures.
MAX_PAUSE = 5.0
#: Of a thread that goes behind the engine's: it gets about a tenth of a processor that one of these wants as well.
_NICENESS = 10


def go_behind_the_engine() -> None:
    """Have the calling thread give way to the engine's. On a CPU a step waits for its slowest thread, and with it all streams.

    Only on Linux, where threads have a priority of their own.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + _NICENESS)


async def repeat(
    description: str,
    step: Callable[[], Awaitable[None]],
    seconds: float,
    wait: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Await ``step`` every ``seconds``, which ``wait`` may cut short, until cancelled.

    No failure ends this, not even that a step was cancelled from within.
    A failure is logged as ``description`` and its reason, once however often it repeats (an unexpected one with its traceback).
    While it repeats, pauses grow.
    """
    logged: str | None = None
    pause = seconds
    while True:
        await (wait(pause) if logged is None else asyncio.sleep(pause))
        try:
            await step()
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and _is_cancelled():
                raise
            message = reason_of(error)
            if message != logged:
                unexpected = not isinstance(error, LorarackError)
                log.warning("%s: %s", description, message, exc_info=unexpected)
            logged = message
            pause = min(max(pause * 2, seconds), max(MAX_PAUSE, seconds))
        else:
            if logged is not None:
                log.info("Recovered: %s.", description)
            logged, pause = None, seconds


def reason_of(error: BaseException) -> str:
    """An error in one sentence."""
    return error.message if isinstance(error, LorarackError) else f"{type(error).__name__}: {error}".removesuffix(": ")


def _is_cancelled() -> bool:
    """Whether somebody cancelled this task: otherwise a future that it awaited was cancelled."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
