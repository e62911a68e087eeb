"""A stopping server finishes its open requests and refuses new ones, before its engine stops.

vLLM 0.32 has its engine reject what comes after SIGTERM, and answers those requests with 200 and nothing in it. Its handler of
the signal calls the engine client's ``shutdown`` first, in a thread, and keeps serving meanwhile.
"""

import asyncio
import time
from typing import Any

from lorarack.server.open_requests import OpenRequests
from lorarack.server.spans import flush

#: What the engine gets when requests took the whole time.
_LEAST_SECONDS = 1.0


def drain_before_shutdown(engine_client: Any, open_requests: OpenRequests) -> None:
    """Have ``engine_client.shutdown(timeout)`` wait for open requests, within that time."""
    original = engine_client.shutdown

    def shutdown(timeout: float | None = None) -> None:
        open_requests.begin_drain()
        began = time.monotonic()
        if timeout and not _on_event_loop():
            open_requests.wait(timeout)
            timeout = max(timeout - (time.monotonic() - began), _LEAST_SECONDS)
        original(timeout=timeout)
        flush()

    engine_client.shutdown = shutdown


def _on_event_loop() -> bool:
    """Whether this thread runs the requests: it must not wait for them."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
