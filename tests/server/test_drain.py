"""A server that is told to stop lets what is under way end before its engine stops, within the time that there is."""

import asyncio
import time

import pytest

from lorarack.server.in_flight import InFlight
from lorarack.server.vllm.drain import drain_before_shutdown


class Client:
    """As much of an engine client as stopping needs."""

    def __init__(self) -> None:
        self.stopped: list[float | None] = []

    def shutdown(self, timeout: float | None = None) -> None:
        self.stopped.append(timeout)


async def test_the_engine_stops_after_the_last_request() -> None:
    client, in_flight = Client(), InFlight()
    drain_before_shutdown(client, in_flight)
    with in_flight.of("support@1"):
        stopping = asyncio.create_task(asyncio.to_thread(client.shutdown, timeout=20))
        await asyncio.sleep(0.1)
        assert in_flight.draining
        assert client.stopped == []
    await asyncio.wait_for(stopping, 1)
    [left] = client.stopped
    assert left is not None
    assert 15 < left < 20


async def test_requests_get_no_more_time_than_there_is() -> None:
    client, in_flight = Client(), InFlight()
    drain_before_shutdown(client, in_flight)
    with in_flight.of("support@1"):
        began = time.monotonic()
        await asyncio.to_thread(client.shutdown, timeout=0.2)
        assert 0.15 < time.monotonic() - began < 2
    assert client.stopped == [1.0]


@pytest.mark.parametrize("timeout", [0, None])
async def test_without_time_nothing_waits(timeout: float | None) -> None:
    client, in_flight = Client(), InFlight()
    drain_before_shutdown(client, in_flight)
    with in_flight.of("support@1"):
        await asyncio.to_thread(client.shutdown, timeout=timeout)
    assert client.stopped == [timeout]


async def test_on_the_event_loop_nothing_waits_for_itself() -> None:
    """vLLM calls it there once more when all is over, and when the engine has died."""
    client, in_flight = Client(), InFlight()
    drain_before_shutdown(client, in_flight)
    with in_flight.of("support@1"):
        client.shutdown(timeout=20)
    assert client.stopped == [20]
