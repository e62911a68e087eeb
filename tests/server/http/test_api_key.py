"""Every route but three wants a key, whatever its path; what a key is for is asked too."""

import json
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from tests.server.values import MOMENT, key, ring

from lorarack.registry import NewKey
from lorarack.server.http.api_key import ApiKeyMiddleware
from lorarack.server.http.asgi import Receive, Scope, Send, send_json


async def inside(scope: Scope, receive: Receive, send: Send) -> None:
    given = [value.decode() for key, value in scope["headers"] if key.lower() == b"authorization"]
    await send_json(send, 200, {"path": scope["path"], "authorization": given})


def client(root_path: str = "") -> httpx.AsyncClient:
    gate = ApiKeyMiddleware(inside, ring("first-key", "second-key"))
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
async def test_anthropics_header_opens_too_and_vllm_sees_its_own_key(key: str, other: dict[str, str]) -> None:
    """vLLM's own check, further in, knows bearers only, and any of its keys will do."""
    async with client() as asking:
        response = await asking.get("/v1/messages", headers={"x-api-key": key, **other})
    assert response.status_code == 200
    assert response.json()["authorization"] == ["Bearer first-key"]


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
    await ApiKeyMiddleware(inside, ring("k"))(scope, never, send)  # type: ignore[arg-type]
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
    await ApiKeyMiddleware(inside, ring("k"))(scope, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]


# Keys of the registry


def registered(*keys: NewKey, static: Sequence[str] = (), close_metrics: bool = False) -> httpx.AsyncClient:
    gate = ApiKeyMiddleware(inside, ring(*static, registered=keys), close_metrics=close_metrics)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=gate), base_url="http://server")


def sent(made: NewKey) -> dict[str, str]:
    return {"authorization": f"Bearer {made.secret}"}


@pytest.mark.parametrize("static", [(), ("flag-key",)])
async def test_a_key_of_the_registry_opens_and_goes_no_further(static: tuple[str, ...]) -> None:
    """Where vLLM checks too, it gets a key that it knows."""
    made = key()
    async with registered(made, static=static) as asking:
        response = await asking.get("/v1/models", headers=sent(made))
        assert response.json()["authorization"] == [f"Bearer {each}" for each in static]
        assert (await asking.get("/v1/messages", headers={"x-api-key": made.secret})).status_code == 200
        for other in (made.secret[:-1], made.key.prefix, made.key.digest, made.secret + "A", key().secret):
            assert (await asking.get("/v1/models", headers={"x-api-key": other})).status_code == 401


@pytest.mark.parametrize(
    "changes", [{"revoked_at": MOMENT}, {"expires_at": MOMENT}, {"revoked_at": MOMENT, "scopes": ("admin",)}]
)
async def test_one_that_was_revoked_or_has_expired_opens_nothing(changes: dict[str, Any]) -> None:
    """And a server on which no key is good any more is still closed."""
    made = key(**changes)
    async with registered(made) as asking:
        assert (await asking.get("/v1/models", headers=sent(made))).status_code == 401
        assert (await asking.get("/v1/models")).status_code == 401


async def test_keys_come_and_go_while_a_server_runs() -> None:
    """Without any it is open; from the first on it stays closed, also if the catalog comes back without keys."""
    keys: list[NewKey] = []
    gate = ApiKeyMiddleware(inside, ring(registered=keys))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=gate), base_url="http://server") as asking:
        assert (await asking.get("/v1/models")).status_code == 200
        keys.append(key())
        assert (await asking.get("/v1/models")).status_code == 401
        assert (await asking.get("/v1/models", headers=sent(keys[0]))).status_code == 200
        keys.clear()
        assert (await asking.get("/v1/models")).status_code == 401


SCOPES: list[tuple[str, str, int]] = [
    ("inference", "/v1/models", 200), ("inference", "/v1/residency", 403), ("inference", "/load", 403),
    ("inference", "/metrics", 403), ("inference", "/metrics/", 403), ("metrics", "/metrics", 200),
    ("metrics", "/v1/chat/completions", 403), ("metrics", "/v1/residency", 403), ("admin", "/v1/residency", 200),
    ("admin", "/v1/chat/completions", 200), ("admin", "/metrics", 200),
]  # fmt: skip


@pytest.mark.parametrize(("scope", "path", "status"), SCOPES)
async def test_a_key_opens_what_it_is_for(scope: str, path: str, status: int) -> None:
    made = key(scopes=(scope,))
    async with registered(made, close_metrics=True) as asking:
        response = await asking.get(path, headers=sent(made))
    assert response.status_code == status
    if status == 403:
        assert "use one with the scope" in response.json()["error"]["message"]
        assert response.headers["x-should-retry"] == "false"


async def test_a_scope_that_lacks_is_said_in_the_clients_own_form_and_before_the_body_is_read() -> None:
    made = key(scopes=("metrics",))

    async def never() -> dict[str, object]:
        raise AssertionError("read")

    answers: list[dict[str, object]] = []

    async def send(message: dict[str, object]) -> None:
        answers.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/messages",
        "headers": [(b"x-api-key", made.secret.encode())],
    }
    await ApiKeyMiddleware(inside, ring(registered=[made]))(scope, never, send)  # type: ignore[arg-type]
    assert answers[0]["status"] == 403
    body = json.loads(bytes(answers[1]["body"]))  # type: ignore[call-overload]
    assert (body["type"], body["error"]["type"]) == ("error", "permission_error")


async def test_metrics_may_be_closed() -> None:
    async with registered(key(), close_metrics=True) as asking:
        assert (await asking.get("/metrics")).status_code == 401
        assert (await asking.get("/health")).status_code == 200
