"""An error comes in the form of the route's own clients, whoever further in made it; an answer passes as it comes."""

import json
from typing import Any

import httpx
import pytest

from lorarack.server.http.asgi import Receive, Scope, Send
from lorarack.server.http.error_form import in_clients_form

VLLM = {
    "error": {"message": "max_tokens must be positive", "type": "Bad Request", "param": "body.max_tokens", "code": 400}
}
ANTHROPIC = {"type": "error", "error": {"type": "not_found_error", "message": "none"}}
FASTAPI = {"detail": "There was an error parsing the body"}


async def answer(path: str, status: int, content: bytes, kind: str = "application/json") -> httpx.Response:
    """What a client of ``path`` gets where the app further in answers in two pieces."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", kind.encode()), (b"content-length", str(len(content)).encode()), (b"x-kept", b"1")]
        told = in_clients_form(path, send)
        await told({"type": "http.response.start", "status": status, "headers": headers})
        await told({"type": "http.response.body", "body": content[:7], "more_body": True})
        await told({"type": "http.response.body", "body": content[7:]})

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server") as client:
        return await client.post(path)


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
@pytest.mark.parametrize("said", [VLLM, FASTAPI])
async def test_anthropics_routes_have_anthropics_form(path: str, said: dict[str, Any]) -> None:
    response = await answer(path, 400, json.dumps(said).encode())
    message = said["detail"] if "detail" in said else said["error"]["message"]
    error = {"type": "invalid_request_error", "message": message, "code": "bad_request"}
    assert (response.status_code, response.json()) == (400, {"type": "error", "error": error})
    assert response.headers["x-kept"] == "1"
    assert int(response.headers["content-length"]) == len(response.content)


async def test_other_routes_have_openais_form() -> None:
    response = await answer("/v1/completions", 400, json.dumps(FASTAPI).encode())
    error = {"message": FASTAPI["detail"], "type": "invalid_request_error", "param": None, "code": "bad_request"}
    assert response.json() == {"error": error}


@pytest.mark.parametrize(
    ("path", "status", "content"),
    [
        ("/v1/completions", 400, json.dumps(VLLM).encode()),
        ("/v1/messages", 404, json.dumps(ANTHROPIC).encode()),
        ("/v1/messages", 200, json.dumps(FASTAPI).encode()),
        ("/v1/messages", 500, b"not JSON at all"),
        ("/v1/messages", 400, b"[1, 2, 3]"),
        ("/v1/completions", 400, b'{"unknown": "form"}'),
    ],
)
async def test_what_has_its_form_or_none_passes_as_it_is(path: str, status: int, content: bytes) -> None:
    response = await answer(path, status, content)
    assert (response.status_code, response.content) == (status, content)


async def test_an_error_that_is_no_json_passes() -> None:
    assert (await answer("/v1/messages", 502, b"<html>bad gateway", "text/html")).text == "<html>bad gateway"
