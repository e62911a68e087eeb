"""Every route but three wants a key, whatever its path."""

import httpx
import pytest

from lorarack.server.http.api_key import ApiKeyMiddleware
from lorarack.server.http.asgi import Receive, Scope, Send, send_json


async def inside(scope: Scope, receive: Receive, send: Send) -> None:
    given = [value.decode() for key, value in scope["headers"] if key.lower() == b"authorization"]
    await send_json(send, 200, {"path": scope["path"], "authorization": given})


def client(root_path: str = "") -> httpx.AsyncClient:
    gate = ApiKeyMiddleware(inside, ["first-key", "second-key"])
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app=gate, root_path=root_path), base_url=f"http://server{root_path}"
    )


@pytest.mark.parametrize("path", ["/v1/models", "/tokenize", "/invocations", "/docs", "/", "/health/../v1/models"])
@pytest.mark.parametrize(
    "headers", [{}, {"authorization": "Bearer wrong"}, {"authorization": "first-key"}, {"authorization": "Bearer "}]
)
async def test_without_a_key_no_route_answers(path: str, headers: dict[str, str]) -> None:
    async with client() as asking:
        response = await asking.get(path, headers=headers)
    assert response.status_code == 401
    assert "Bearer" in response.json()["error"]["message"]
    assert "first-key" not in response.text


@pytest.mark.parametrize("key", ["first-key", "second-key"])
async def test_any_of_the_keys_opens(key: str) -> None:
    async with client() as asking:
        assert (await asking.get("/tokenize", headers={"authorization": f"bearer {key}"})).status_code == 200


@pytest.mark.parametrize("key", ["first-key", "second-key"])
@pytest.mark.parametrize("other", [{}, {"authorization": "Basic eDp5"}, {"authorization": "Bearer wrong"}])
async def test_anthropics_header_opens_too_and_vllm_sees_a_bearer(key: str, other: dict[str, str]) -> None:
    """vLLM's own check, further in, knows bearers only."""
    async with client() as asking:
        response = await asking.get("/v1/messages", headers={"x-api-key": key, **other})
    assert response.status_code == 200
    assert response.json()["authorization"] == [f"Bearer {key}"]


@pytest.mark.parametrize("headers", [{"x-api-key": "wrong"}, {"x-api-key": ""}, {"x-api-key": "Bearer first-key"}])
async def test_a_wrong_key_in_anthropics_header_does_not(headers: dict[str, str]) -> None:
    async with client() as asking:
        response = await asking.post("/v1/messages", headers=headers)
    assert response.status_code == 401
    assert response.json()["type"] == "error"
    assert response.json()["error"]["type"] == "authentication_error"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics"])
async def test_what_is_open_is_open_for_reading_only(path: str, method: str) -> None:
    async with client() as asking:
        response = await asking.request(method, path, headers={"origin": "http://other"})
    assert response.status_code == 401


async def test_a_body_is_not_read_before_the_key_is_checked() -> None:
    async def never() -> dict[str, object]:
        raise AssertionError("read")

    sent: list[dict[str, object]] = []

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/health", "headers": [(b"content-length", b"99999999")]}
    await ApiKeyMiddleware(inside, ["k"])(scope, never, send)  # type: ignore[arg-type]
    assert sent[0]["status"] == 401


async def test_a_browsers_question_before_a_request_passes() -> None:
    """It never carries a key, and no route sees it."""
    asked = {"origin": "http://other", "access-control-request-method": "POST"}
    async with client() as asking:
        assert (await asking.options("/v1/chat/completions", headers=asked)).status_code == 200


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics"])
async def test_monitors_need_no_key(path: str) -> None:
    async with client() as asking:
        assert (await asking.get(path)).status_code == 200


async def test_a_mounted_server_guards_the_same_routes() -> None:
    """Behind a proxy the prefix is part of the path; it must neither open nor close anything."""
    async with client("/llm") as asking:
        assert (await asking.get("/health")).status_code == 200
        assert (await asking.get("/v1/models")).status_code == 401


async def test_a_websocket_is_closed_before_it_opens() -> None:
    sent = []

    async def send(message: object) -> None:
        sent.append(message)

    async def receive() -> dict[str, object]:
        return {"type": "websocket.connect"}

    scope = {"type": "websocket", "path": "/v1/realtime", "headers": []}
    await ApiKeyMiddleware(inside, ["k"])(scope, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]
