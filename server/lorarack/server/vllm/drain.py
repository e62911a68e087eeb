"""A server that is told to stop finishes what is under way and sends everybody else away, before its engine stops.

vLLM 0.32 has its engine reject what comes after SIGTERM, and answers those requests with 200 and nothing in it. Its handler of
the signal calls the engine client's ``shutdown`` in a thread, first thing, and goes on serving meanwhile: the one place to begin.
"""

import asyncio
import time
from typing import Any

from lorarack.server.open_requests import OpenRequests

#: What is left to the engine when requests took all the time there was.
_LEAST_SECONDS = 1.0


def drain_before_shutdown(engine_client: Any, open_requests: OpenRequests) -> None:
    """Have ``engine_client.shutdown(timeout)`` wait for requests under way, within that time."""
    original = engine_client.shutdown

    def shutdown(timeout: float | None = None) -> None:
        open_requests.begin_drain()
        began = time.monotonic()
        if timeout and not _on_event_loop():
            open_requests.wait(timeout)
            timeout = max(timeout - (time.monotonic() - began), _LEAST_SECONDS)
        original(timeout=timeout)

    engine_client.shutdown = shutdown


def _on_event_loop() -> bool:
    """Whether requests wait for this thread: then there is no waiting for them."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
