"""The resolver turns references into exact versions and leaves everything else as it came."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from tests.server.http.echo import client_of, echo
from tests.server.values import BASE_PRINT

from lorarack.server.app_state import AppState
from lorarack.server.http.asgi import Receive, Scope, Send, send_json
from lorarack.server.http.model_resolver import ModelResolverMiddleware


async def test_a_reference_becomes_the_exact_version_in_body_and_headers(client: httpx.AsyncClient) -> None:
    asked = {"model": "support@prod", "prompt": "ünï ☃", "nested": {"model": "support"}, "n": 1.5}
    response = await client.post("/v1/completions", json=asked)
    assert response.json() == {**asked, "model": "support@1"}
    assert response.headers["x-lorarack-version"] == "support@1"
    assert response.headers["x-lorarack-digest"].startswith("sha256:")


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/invocations", "/cohere/v2/chat", "/pooling", "/v2/rerank"])
async def test_every_route_that_answers_with_a_model_is_resolved(client: httpx.AsyncClient, path: str) -> None:
    response = await client.post(path, json={"model": "support"})
    assert response.json()["model"] == "support@1"


@pytest.mark.parametrize("path", ["/tokenize", "/detokenize", "/v1/messages/count_tokens"])
async def test_tokens_are_the_bases_and_load_nothing(client: httpx.AsyncClient, state: AppState, path: str) -> None:
    response = await client.post(path, json={"model": "support"})
    assert response.json()["model"] == "tiny"
    assert response.headers["x-lorarack-version"] == "support@1"
    assert state.residency.loaded == ()
    assert (await client.post(path, json={"model": "support@2"})).status_code == 422
    assert (await client.post(path, json={"model": "nosuch"})).status_code == 404


@pytest.mark.parametrize("path", ["/anything", "/scale_elastic_ep", "/v1/completions/derender", "/health"])
async def test_what_cannot_be_kept_true_is_refused_and_loads_nothing(
    client: httpx.AsyncClient, state: AppState, path: str
) -> None:
    response = await client.post(path, json={"model": "support"})
    assert response.status_code == 403
    assert response.json()["error"]["code"] == "route_refused"
    assert path in response.json()["error"]["message"]
    assert "x-lorarack-version" not in response.headers
    assert state.residency.loaded == ()


@pytest.mark.parametrize("body", [{"model": "tiny"}, {"prompt": "x"}, {"model": ""}, {"model": None}])
async def test_the_base_passes_as_it_came_and_says_its_fingerprint(
    client: httpx.AsyncClient, state: AppState, body: dict[str, Any]
) -> None:
    response = await client.post("/v1/completions", json=body)
    assert response.json() == body
    assert response.headers["x-lorarack-version"] == "tiny"
    assert response.headers["x-lorarack-digest"] == state.limits.fingerprint != BASE_PRINT


@pytest.mark.parametrize("raw", [b"", b"not json", b"[1, 2]", b'{"model": 7}', b"\xff\xfe"])
async def test_what_is_not_a_request_is_left_to_the_route(client: httpx.AsyncClient, raw: bytes) -> None:
    """vLLM says best what is wrong with it; nothing here may fail."""
    response = await client.post("/v1/completions", content=raw, headers={"content-type": "application/json"})
    assert response.content == raw
    assert "x-lorarack-version" not in response.headers


@pytest.mark.parametrize("raw", [b"[" * 100_000, b'{"a":' * 100_000, b"[" * 300 + b"]" * 300])
async def test_bodies_that_no_parser_survives_are_the_clients_fault(client: httpx.AsyncClient, raw: bytes) -> None:
    response = await client.post("/v1/completions", content=raw, headers={"content-type": "application/json"})
    assert response.status_code == 400
    assert "levels deep" in response.json()["error"]["message"]


async def test_many_flat_lists_are_not_deep(client: httpx.AsyncClient) -> None:
    asked = {"model": "tiny", "prompt": [[1, 2]] * 1000}
    assert (await client.post("/v1/completions", json=asked)).json() == asked


@pytest.mark.parametrize("said", [True, False])
async def test_a_body_over_the_limit_is_not_read_to_its_end(
    state: AppState, monkeypatch: pytest.MonkeyPatch, said: bool
) -> None:
    monkeypatch.setattr("lorarack.server.http.model_resolver.MAX_BODY_BYTES", 1 << 20)
    taken = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal taken
        for _ in range(64):
            taken += 1
            yield b"x" * (1 << 18)

    headers = {"content-type": "application/json"} | ({"content-length": str(64 << 18)} if said else {})
    async with client_of(ModelResolverMiddleware(echo, lambda: state)) as asking:
        response = await asking.post("/v1/completions", content=chunks(), headers=headers)
    assert response.status_code == 413
    assert response.json()["error"]["code"] == "too_large"
    assert taken <= (1 if said else 6)


async def test_only_json_is_taken_and_gets_are_not_read(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/completions", content=b'{"model": "support"}')
    assert (response.status_code, response.json()["error"]["code"]) == (415, "not_json")
    assert (await client.get("/v1/models")).status_code == 200


async def test_an_error_of_the_route_names_no_version(state: AppState) -> None:
    """Nothing answered."""

    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        await send_json(send, 400, {})

    async with client_of(ModelResolverMiddleware(failing, lambda: state)) as asking:
        response = await asking.post("/v1/completions", json={"model": "support"})
    assert response.status_code == 400
    assert "x-lorarack-version" not in response.headers


async def test_a_stopping_server_finishes_and_sends_everybody_else_away(state: AppState) -> None:
    begun, let_go = asyncio.Event(), asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        begun.set()
        await let_go.wait()
        await send_json(send, 200, {})

    async with client_of(ModelResolverMiddleware(slow, lambda: state)) as asking:
        under_way = asyncio.create_task(asking.post("/v1/completions", json={"model": "support"}))
        await begun.wait()
        state.open_requests.begin_drain()
        drained = asyncio.create_task(asyncio.to_thread(state.open_requests.wait, 10))
        late = await asking.post("/v1/completions", json={"model": "support"})
        assert (late.status_code, late.json()["error"]["code"]) == (503, "draining")
        assert int(late.headers["retry-after"]) > 0
        assert state.unready_reason() == "the server is stopping"
        await asyncio.sleep(0.05)
        assert not drained.done()
        let_go.set()
        assert (await under_way).status_code == 200
        await drained


async def test_a_websocket_is_turned_down_with_a_sentence(state: AppState) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> dict[str, object]:
        return {"type": "websocket.connect"}

    scope = {"type": "websocket", "path": "/v1/realtime", "headers": [], "extensions": {"websocket.http.response": {}}}
    await ModelResolverMiddleware(echo, lambda: state)(scope, receive, send)
    assert sent[0]["status"] == 403
    assert b"route_refused" in sent[1]["body"]


@pytest.mark.parametrize(
    ("model", "status", "code"),
    [
        ("suport", 404, "unknown_reference"),
        ("support@9", 404, "unknown_reference"),
        ("support@Bad!", 404, "bad_reference"),
        ("../../etc/passwd", 404, "bad_reference"),
        ("x" * 100_000, 404, "bad_reference"),
        ("support@2", 422, "not_serveable"),
        ("support@3", 410, "not_ready"),
        ("support@latest", 422, "not_serveable"),
    ],
)
async def test_what_cannot_answer_says_why_in_openais_shape(
    client: httpx.AsyncClient, model: str, status: int, code: str
) -> None:
    response = await client.post("/v1/chat/completions", json={"model": model})
    assert response.status_code == status
    error = response.json()["error"]
    assert error["code"] == code
    assert error["param"] == "model"
    assert response.headers["x-should-retry"] == "false"
    assert len(error["message"]) < 1000


async def test_near_matches_and_remedies_are_named(client: httpx.AsyncClient) -> None:
    near = (await client.post("/v1/completions", json={"model": "suport"})).json()["error"]["message"]
    assert "Did you mean 'support'" in near
    remedy = (await client.post("/v1/completions", json={"model": "support@r32"})).json()["error"]["message"]
    assert "--max-lora-rank 32" in remedy


async def test_anthropics_clients_get_anthropics_shape(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/messages", json={"model": "nosuch"})
    assert response.status_code == 404
    assert json.loads(response.content)["type"] == "error"
    assert response.json()["error"]["type"] == "not_found_error"


@pytest.mark.parametrize(
    ("given", "kept"),
    [("trace-7:a/b", True), ("two words", False), ("x" * 129, False), ("", False), ("a\u00e9", False)],
)
@pytest.mark.parametrize(("model", "status"), [("support", 200), ("nosuch", 404)])
async def test_a_request_has_an_id(client: httpx.AsyncClient, given: str, kept: bool, model: str, status: int) -> None:
    """The client's own where it fits a header and a log; errors have it too."""
    headers = {b"x-request-id": given.encode()}
    response = await client.post("/v1/completions", json={"model": model, "prompt": "x"}, headers=headers)
    assert response.status_code == status
    assert (response.headers["x-request-id"] == given) is kept
    assert len(response.headers["x-request-id"]) in (32, len(given))


@pytest.mark.parametrize("path", ["/cohere/v2/chat", "/v1/systemone", "/generative_scoring"])
async def test_a_route_that_does_not_work_here_has_errors_in_the_clients_form(state: AppState, path: str) -> None:
    """vLLM mounts these for every model; FastAPI answers what it cannot decode in a form of its own."""
    app = FastAPI()
    app.add_middleware(ModelResolverMiddleware, state=lambda: state)

    @app.post(path)
    async def route(body: dict[str, str]) -> None:
        raise AssertionError("never decoded")

    async with client_of(app) as client:
        response = await client.post(path, content=b"\xff", headers={"content-type": "application/json"})
    assert (response.status_code, response.json()["error"]["code"]) == (400, "bad_request")
