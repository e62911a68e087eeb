"""On the way of a request: who comes too often is told when to come back, and who leaves leaves nothing."""

import asyncio
from typing import Any

import httpx
import pytest
from tests.server.http.echo import client_of
from tests.server.values import key, ring

from lorarack.server.admission.fair_queue import FairQueue, QueueLimits
from lorarack.server.admission.quotas import Quotas
from lorarack.server.app_state import AppState
from lorarack.server.http.api_key import ApiKeyMiddleware
from lorarack.server.http.asgi import App, Receive, Scope, Send
from lorarack.server.http.model_resolver import ModelResolverMiddleware
from lorarack.server.policies.admit import Admit


class Engine:
    """Answers when it is told to; counts who is inside."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.inside = 0
        self.fails = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.inside += 1
        try:
            await self.go.wait()
            if self.fails:
                raise RuntimeError("the engine failed")
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for body in (b"data: one", b'data: {"usage": {"prompt_tokens": 3, "completion_tokens": 4}}'):
                await send({"type": "http.response.body", "body": body, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            self.inside -= 1


class Served:
    """A server of one row in which an adapter may have one more request waiting."""

    def __init__(self, state: AppState, tokens: int | None = None) -> None:
        self.engine = Engine()
        self.queue = FairQueue(QueueLimits(running=1, waiting=1))
        admit = Admit(self.queue, Quotas("adapter", None, None), Quotas("key", 3, tokens))
        built = AppState.build(state.base_names, state.resolver, state.residency, admit=admit)
        self.app: App = ModelResolverMiddleware(self.engine, lambda: built)

    @property
    def places(self) -> tuple[int, int]:
        return self.queue.running, self.queue.waiting("support") + self.queue.waiting("tiny")


@pytest.fixture
def served(state: AppState) -> Served:
    return Served(state)


async def settled() -> None:
    for _ in range(50):
        await asyncio.sleep(0.001)


def scope_of(path: str, body: bytes) -> Scope:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    return {"type": "http", "method": "POST", "path": path, "headers": headers}


def hanging_up(body: bytes, gone: asyncio.Event) -> Receive:
    """A client that sends its body and hangs up at the event."""
    messages = [{"type": "http.request", "body": body}]

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    return receive


@pytest.mark.parametrize(
    ("path", "kind"), [("/v1/completions", "rate_limit_error"), ("/v1/messages", "rate_limit_error")]
)
async def test_one_too_many_is_told_when_to_come_back(served: Served, path: str, kind: str) -> None:
    async with client_of(served.app) as asking:
        tasks = [asyncio.create_task(asking.post(path, json={"model": "support@1"})) for _ in range(2)]
        await settled()
        assert served.places == (1, 1)
        refused = await asking.post(path, json={"model": "support@1"})
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.json()["error"]["type"] == kind
        assert refused.json()["error"]["code"] == "rate_limited"
        assert ("type" in refused.json()) is (path == "/v1/messages")
        assert "x-lorarack-version" not in refused.headers
        served.engine.go.set()
        assert [response.status_code for response in await asyncio.gather(*tasks)] == [200, 200]
    assert served.places == (0, 0)


async def test_a_client_that_hangs_up_while_it_waits_leaves_the_queue_at_once(served: Served) -> None:
    """And nothing is sent to it, and the engine never hears of it."""
    async with client_of(served.app) as asking:
        first = asyncio.create_task(asking.post("/v1/completions", json={"model": "support@1"}))
        await settled()
        gone, sent = asyncio.Event(), []

        async def send(message: Any) -> None:
            sent.append(message)

        body = b'{"model": "tiny"}'
        second = asyncio.ensure_future(served.app(scope_of("/v1/completions", body), hanging_up(body, gone), send))
        await settled()
        assert served.places == (1, 1)
        gone.set()
        await asyncio.wait_for(second, 5)
        assert (served.places, sent, served.engine.inside) == ((1, 0), [], 1)
        served.engine.go.set()
        assert (await first).status_code == 200
    assert served.places == (0, 0)


@pytest.mark.parametrize("running", [True, False])
async def test_a_request_that_the_server_ends_gives_its_place_back(served: Served, running: bool) -> None:
    """Before and after its turn: the cancellation goes on, as it came."""
    async with client_of(served.app) as asking:
        other = None if running else asyncio.create_task(asking.post("/v1/completions", json={"model": "support@1"}))
        await settled()
        task = asyncio.create_task(asking.post("/v1/completions", json={"model": "tiny"}))
        await settled()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert served.places == (0 if running else 1, 0)
        served.engine.go.set()
        if other is not None:
            await other
    assert served.places == (0, 0)


async def test_a_request_that_the_engine_fails_gives_its_place_back(served: Served) -> None:
    served.engine.fails = True
    served.engine.go.set()
    async with client_of(served.app) as asking:
        for _ in range(3):
            with pytest.raises(RuntimeError, match="the engine failed"):
                await asking.post("/v1/completions", json={"model": "support@1"})
    assert served.places == (0, 0)


async def test_what_cannot_be_loaded_gives_its_place_back(served: Served, state: AppState) -> None:
    served.engine.go.set()
    state.residency._engine.fault = RuntimeError("no")  # type: ignore[attr-defined]
    async with client_of(served.app) as asking:
        assert (await asking.post("/v1/completions", json={"model": "support@1"})).status_code == 503
    assert served.places == (0, 0)


async def test_each_key_has_its_own_limit(state: AppState) -> None:
    """What its answers took counts (7 tokens of 5 a minute); those of another key do not."""
    served, one, other = Served(state, tokens=5), key("one"), key("other")
    served.engine.go.set()
    gate = ApiKeyMiddleware(served.app, ring(registered=[one, other]))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=gate), base_url="http://server") as asking:

        async def ask(made: Any) -> int:
            response = await asking.post("/v1/completions", json={"model": "tiny"}, headers={"x-api-key": made.secret})
            return response.status_code

        assert [await ask(one), await ask(one), await ask(other)] == [200, 429, 200]
