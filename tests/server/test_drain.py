"""A server that is told to stop lets what is under way end before its engine stops, within the time that there is."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lorarack.server.caller import ANONYMOUS
from lorarack.server.exchange import Exchange
from lorarack.server.open_requests import OpenRequests
from lorarack.server.vllm.drain import drain_before_shutdown


@contextmanager
def one_open(open_requests: OpenRequests) -> Iterator[None]:
    exchange = Exchange(ANONYMOUS, "POST /v1/completions")
    open_requests.observer.start(exchange)
    yield
    open_requests.observer.end(exchange)


class Client:
    """As much of an engine client as stopping needs."""

    def __init__(self) -> None:
        self.stopped: list[float | None] = []

    def shutdown(self, timeout: float | None = None) -> None:
        self.stopped.append(timeout)


async def test_the_engine_stops_after_the_last_request() -> None:
    client, open_requests = Client(), OpenRequests()
    drain_before_shutdown(client, open_requests)
    with one_open(open_requests):
        stopping = asyncio.create_task(asyncio.to_thread(client.shutdown, timeout=20))
        await asyncio.sleep(0.1)
        assert open_requests.draining
        assert client.stopped == []
    await stopping
    [left] = client.stopped
    assert left is not None
    assert 0 < left < 20


async def test_requests_get_no_more_time_than_there_is() -> None:
    client, open_requests = Client(), OpenRequests()
    drain_before_shutdown(client, open_requests)
    with one_open(open_requests):
        began = time.monotonic()
        await asyncio.to_thread(client.shutdown, timeout=0.2)
        assert time.monotonic() - began > 0.15
    assert client.stopped == [1.0]


@pytest.mark.parametrize("timeout", [0, None])
async def test_without_time_nothing_waits(timeout: float | None) -> None:
    client, open_requests = Client(), OpenRequests()
    drain_before_shutdown(client, open_requests)
    with one_open(open_requests):
        await asyncio.to_thread(client.shutdown, timeout=timeout)
    assert client.stopped == [timeout]


async def test_on_the_event_loop_nothing_waits_for_itself() -> None:
    """vLLM calls it there once more when all is over, and when the engine has died."""
    client, open_requests = Client(), OpenRequests()
    drain_before_shutdown(client, open_requests)
    with one_open(open_requests):
        client.shutdown(timeout=20)
    assert client.stopped == [20]
