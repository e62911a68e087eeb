"""Every route but three wants a key, whatever its path."""

import httpx
import pytest

from lorarack.server.http.gate import ApiKeyGate
from lorarack.server.http.wire import Receive, Scope, Send, send_json


async def inside(scope: Scope, receive: Receive, send: Send) -> None:
    await send_json(send, 200, {"path": scope["path"]})


def client(root_path: str = "") -> httpx.AsyncClient:
    gate = ApiKeyGate(inside, ["first-key", "second-key"])
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
    await ApiKeyGate(inside, ["k"])(scope, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]
