"""Small pieces of ASGI that the middlewares share."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from lorarack.registry.errors import UsageError
from lorarack.server.caller import ANONYMOUS, Caller

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers: TypeAlias = Sequence[tuple[bytes, bytes]]

_CALLER = "lorarack.caller"


def path_of(scope: Scope) -> str:
    """The path of the route, without the prefix under which the server is mounted: as the router sees it."""
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    rest = path[len(root) :]
    return rest if root and path.startswith(root) and (not rest or rest.startswith("/")) else path


def caller_of(scope: Scope) -> Caller:
    """Who sends the request, as the key check found."""
    caller = scope.get(_CALLER, ANONYMOUS)
    assert isinstance(caller, Caller)  # noqa: S101 - `with_caller` put it there
    return caller


def with_caller(scope: Scope, caller: Caller) -> Scope:
    """``scope`` of a request by ``caller``."""
    return {**scope, _CALLER: caller}


def header(scope: Scope, name: bytes) -> bytes:
    """The value of the first header of that name (lower case); empty when there is none."""
    return next((value for key, value in scope["headers"] if key.lower() == name), b"")


def with_headers(scope: Scope, *headers: tuple[bytes, bytes], without: Sequence[bytes] = ()) -> Scope:
    """``scope`` with these headers in the place of all others of their names, and without those of the others given."""
    dropped = {name for name, _ in headers} | set(without)
    kept = [(key, value) for key, value in scope["headers"] if key.lower() not in dropped]
    return {**scope, "headers": [*kept, *headers]}


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes | None:
    """The whole body; None when the client hung up before its end.

    Raises:
        UsageError: it is longer than ``limit`` bytes. If its header says so, none of it is read.
    """
    error = UsageError(
        f"The request's body is larger than {limit >> 20} MiB, which is the most that is read.", code="too_large"
    )
    said = header(scope, b"content-length")
    if said.isdigit() and int(said[:19]) > limit:
        raise error
    chunks, length = [], 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        chunk = message.get("body", b"")
        length += len(chunk)
        if length > limit:
            raise error
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


class Disconnected(Exception):
    """The client hung up before its request was passed on."""


@asynccontextmanager
async def while_connected(receive: Receive) -> AsyncIterator[None]:
    """Cancel the block when the client hangs up. Before it the body was read; what else the client may send is dropped.

    Raises:
        Disconnected: it has hung up.
    """
    task, gone = asyncio.current_task(), False

    async def watch() -> None:
        nonlocal gone
        while (await receive())["type"] != "http.disconnect":
            pass
        gone = True
        if task is not None:
            task.cancel()

    watcher = asyncio.create_task(watch())
    try:
        yield
    except asyncio.CancelledError:
        if gone and task is not None and task.uncancel() == 0:  # else the server itself ends the request
            raise Disconnected from None
        raise
    finally:
        watcher.cancel()


def replay(body: bytes, receive: Receive) -> Receive:
    """A ``receive`` that gives ``body`` and then what the client sends: vLLM listens there for disconnects."""
    given = False

    async def replayed() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


def with_response_headers(headers: Headers, send: Send) -> Send:
    """A ``send`` that adds ``headers`` to a response that is no error, and touches nothing else, so streams flow as they are."""

    async def added(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] < 400:
            message = {**message, "headers": [*message.get("headers", ()), *headers]}
        await send(message)

    return added


def with_request_id(name: str, send: Send) -> Send:
    """A ``send`` that adds ``x-request-id`` to every response, unless vLLM does (``--enable-request-id-headers``)."""

    async def added(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            if not any(key.lower() == b"x-request-id" for key, _ in headers):
                message = {**message, "headers": [*headers, (b"x-request-id", name.encode())]}
        await send(message)

    return added


async def send_json(send: Send, status: int, document: Any, headers: Headers = ()) -> None:
    """A whole JSON response."""
    body = json.dumps(document, ensure_ascii=False).encode("utf-8", "backslashreplace")
    start = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": body})


async def refuse_websocket(scope: Scope, send: Send, status: int, document: Any) -> None:
    """Refuse a websocket before it opens, with a body if the server can send one."""
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": 1008})
        return
    body = json.dumps(document).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})
