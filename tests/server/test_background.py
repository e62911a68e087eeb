"""A background task runs until it is cancelled, whatever its step does."""

import asyncio
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.server.test_residency import until

from lorarack.registry.errors import StoreError
from lorarack.server.background import go_behind_the_engine, repeat


@pytest.mark.parametrize(
    "error", [StoreError("The disk failed."), ZeroDivisionError("odd"), asyncio.CancelledError(), MemoryError()]
)
async def test_no_error_ends_it(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    """Also not a future that somebody else cancelled. It is said once, and that it is over."""
    calls = 0

    async def step() -> None:
        nonlocal calls
        calls += 1
        if 2 <= calls <= 4:
            raise error

    caplog.set_level("INFO", "lorarack")
    task = asyncio.create_task(repeat("The step fails", step, 0.001))
    await until(lambda: calls > 6)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_it_can_be_cancelled_within_a_step_that_hangs() -> None:
    begun = asyncio.Event()

    async def step() -> None:
        begun.set()
        await asyncio.sleep(60)

    task = asyncio.create_task(repeat("The step hangs", step, 0.001))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 5)


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no priority of their own")
def test_a_thread_that_goes_behind_the_engine_goes_alone() -> None:
    """Neither this thread nor the process as a whole."""
    before = os.getpriority(os.PRIO_PROCESS, 0)
    with ThreadPoolExecutor(1, initializer=go_behind_the_engine) as pool:
        inside = pool.submit(lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id())).result()
    assert inside > before
    assert os.getpriority(os.PRIO_PROCESS, 0) == before
