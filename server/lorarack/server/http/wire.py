"""Small pieces of ASGI that the gate and the gateway share."""

import json
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers: TypeAlias = Sequence[tuple[bytes, bytes]]


def path_of(scope: Scope) -> str:
    """The path of the route, without the prefix under which the server is mounted."""
    return str(scope["path"]).removeprefix(scope.get("root_path", ""))


def header(scope: Scope, name: bytes) -> bytes:
    """The value of the first header of that name (lower case); empty when there is none."""
    return next((value for key, value in scope["headers"] if key.lower() == name), b"")


async def read_body(receive: Receive) -> bytes | None:
    """The whole body; None when the client hung up before its end."""
    chunks = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(chunks)


def replay(body: bytes, receive: Receive) -> Receive:
    """A ``receive`` that gives ``body`` once and then whatever comes: vLLM listens there for clients that hang up."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def with_body_length(scope: Scope, length: int) -> Scope:
    """``scope`` with a content-length for another body."""
    dropped = (b"content-length", b"transfer-encoding")
    headers = [(key, value) for key, value in scope["headers"] if key.lower() not in dropped]
    return {**scope, "headers": [*headers, (b"content-length", str(length).encode())]}


def adding(headers: Headers, send: Send) -> Send:
    """A ``send`` that adds ``headers`` to the response and touches nothing else, so streams flow as they are."""

    async def added(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *headers]}
        await send(message)

    return added


async def send_json(send: Send, status: int, document: Any, headers: Headers = ()) -> None:
    """A whole JSON response."""
    body = json.dumps(document, ensure_ascii=False).encode("utf-8", "backslashreplace")
    start = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": body})
