"""The gateway turns references into exact versions and leaves everything else as it came."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.server.values import BASE_PRINT, RecordingEngine
from tests.tiny import tiny_adapter, tiny_base

from lorarack.registry import Version, open_registry
from lorarack.server.directory import Directory
from lorarack.server.http.gateway import ModelGateway
from lorarack.server.http.wire import App, Receive, Scope, Send
from lorarack.server.residency import Residency
from lorarack.server.serveable import Limits
from lorarack.server.serving import Serving


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """An app that answers with what it was asked, in three pieces."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    length = next((value for key, value in scope["headers"] if key == b"content-length"), b"0")
    assert int(length) == len(body), "content-length must fit the rewritten body"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    third = len(body) // 3
    for piece in (body[:third], body[third : 2 * third]):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": body[2 * third :]})


@pytest.fixture
async def serving(tmp_path: Path) -> Serving:
    registry = open_registry(tmp_path / "home")
    base = registry.add_base(str(tiny_base(tmp_path / "base")), "tiny")
    registry.publish(tiny_adapter(tmp_path / "one", rank=4), "support", base="tiny")
    registry.publish(tiny_adapter(tmp_path / "two", rank=32), "support", base="tiny")
    registry.set_alias("support", "prod", 1)
    directory = Directory(registry, base_names=("tiny",))
    await directory.refresh()
    limits = Limits("tiny", base.fingerprint, 16)

    def path_of(version: Version) -> Path:
        return tmp_path / version.digest

    return Serving(frozenset({"tiny"}), directory, Residency(RecordingEngine(), path_of, limits))


def client_of(app: App) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://server")


@pytest.fixture
async def client(serving: Serving) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(ModelGateway(echo, lambda: serving)) as made:
        yield made


async def test_a_reference_becomes_the_exact_version_in_body_and_headers(client: httpx.AsyncClient) -> None:
    asked = {"model": "support@prod", "prompt": "ünï ☃", "nested": {"model": "support"}, "n": 1.5}
    response = await client.post("/v1/completions", json=asked)
    assert response.json() == {**asked, "model": "support@1"}
    assert response.headers["x-lorarack-version"] == "support@1"
    assert response.headers["x-lorarack-digest"].startswith("sha256:")


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/tokenize", "/invocations", "/cohere/v2/chat", "/anything"])
async def test_every_route_that_names_a_model_is_resolved(client: httpx.AsyncClient, path: str) -> None:
    response = await client.post(path, json={"model": "support"})
    assert response.json()["model"] == "support@1"


@pytest.mark.parametrize("body", [{"model": "tiny"}, {"prompt": "x"}, {"model": ""}, {"model": None}])
async def test_the_base_passes_as_it_came_and_says_its_fingerprint(
    client: httpx.AsyncClient, serving: Serving, body: dict[str, Any]
) -> None:
    response = await client.post("/v1/completions", json=body)
    assert response.json() == body
    assert response.headers["x-lorarack-version"] == "tiny"
    assert response.headers["x-lorarack-digest"] == serving.limits.fingerprint != BASE_PRINT


@pytest.mark.parametrize("raw", [b"", b"not json", b"[1, 2]", b'{"model": 7}', b"\xff\xfe", b"[" * 100_000])
async def test_what_is_not_a_request_is_left_to_the_route(client: httpx.AsyncClient, raw: bytes) -> None:
    """vLLM says best what is wrong with it; nothing here may fail."""
    response = await client.post("/v1/completions", content=raw, headers={"content-type": "application/json"})
    assert response.content == raw
    assert "x-lorarack-version" not in response.headers


async def test_forms_and_gets_are_not_read(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/audio/transcriptions", files={"file": b'{"model": "nosuch"}'})
    assert response.status_code == 200
    assert (await client.get("/v1/models")).status_code == 200


@pytest.mark.parametrize(
    ("model", "status", "code"),
    [
        ("suport", 404, "unknown_reference"),
        ("support@9", 404, "unknown_reference"),
        ("support@Bad!", 404, "bad_reference"),
        ("../../etc/passwd", 404, "bad_reference"),
        ("x" * 100_000, 404, "bad_reference"),
        ("support@2", 409, "not_serveable"),
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
