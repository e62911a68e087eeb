"""From the model name of a request to one exact version, before vLLM sees the request.

Any POST with a JSON object is looked at, whatever its path: vLLM has routes outside /v1 that name a model as well.
"""

import json
from collections.abc import Callable
from typing import Any

from lorarack.registry.errors import LorarackError
from lorarack.server.http.errors import error_body, status_of
from lorarack.server.http.wire import (
    App,
    Headers,
    Receive,
    Scope,
    Send,
    adding,
    header,
    path_of,
    read_body,
    replay,
    send_json,
    with_body_length,
)
from lorarack.server.serving import Serving

#: The longest reference there can be is shorter; what is longer is not repeated in an error.
_LONGEST_NAME = 256


class ModelGateway:
    """Plain ASGI middleware: rewrites ``model``, has the version loaded, and says in the headers which one answers."""

    def __init__(self, app: App, serving: Callable[[], Serving]) -> None:
        self._app = app
        self._serving = serving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its model resolved, or answer why that cannot be."""
        if scope["type"] != "http" or scope["method"] != "POST" or _is_form(scope):
            await self._app(scope, receive, send)
            return
        body = await read_body(receive)
        if body is None:
            return
        document = _object(body)
        name = document.get("model") if document is not None else None
        if document is None or not isinstance(name, str | None):
            await self._app(scope, replay(body, receive), send)  # vLLM says best what is wrong with it
            return
        serving = self._serving()
        if not name or name in serving.base_names:
            headers = _headers(serving.limits.base, serving.limits.fingerprint)
            await self._app(scope, replay(body, receive), adding(headers, send))
            return
        try:
            engine_name, digest = await serving.ready_to_answer(_short(name))
        except LorarackError as error:
            status = status_of(error)
            await send_json(send, status, error_body(path_of(scope), status, error.message, error.code))
            return
        body = json.dumps({**document, "model": engine_name}).encode()
        await self._app(
            with_body_length(scope, len(body)), replay(body, receive), adding(_headers(engine_name, digest), send)
        )


def _is_form(scope: Scope) -> bool:
    """Whether the body is a form (uploads): these are not held in memory, and their fields not looked at."""
    return header(scope, b"content-type").lower().startswith((b"multipart/", b"application/x-www-form-urlencoded"))


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[:60]}…"


def _headers(version: str, digest: str) -> Headers:
    return [(b"x-lorarack-version", version.encode()), (b"x-lorarack-digest", digest.encode())]
