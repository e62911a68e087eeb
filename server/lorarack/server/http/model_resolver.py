"""From the model name of a request to one exact version, before vLLM sees the request.

What happens to a request is decided by the route that will take it (see ``route_table``). Only routes that answer with a model
have a version loaded, and only their answers say in the headers which one it was.
"""

import json
from collections.abc import Callable
from typing import Any

from lorarack.registry.errors import LorarackError, NotAllowed, Unavailable, UsageError
from lorarack.server.http.adapter_parameters import check_foreign_parameters
from lorarack.server.http.asgi import (
    App,
    Headers,
    Receive,
    Scope,
    Send,
    adding,
    header,
    path_of,
    read_body,
    refuse_websocket,
    replay,
    send_json,
    with_headers,
)
from lorarack.server.http.errors import error_body, headers_of, status_of
from lorarack.server.http.request_json import MAX_BODY_BYTES, json_object
from lorarack.server.http.route_table import ADAPTER_HEADER, INVOCATIONS, REFUSALS, Kind, kind_of, route_of
from lorarack.server.router import Serving

#: The longest reference there can be is shorter; what is longer is not repeated in an error.
_LONGEST_NAME = 256


class ModelResolverMiddleware:
    """Plain ASGI middleware: rewrites ``model``, has the version loaded, and says in the headers which one answers."""

    def __init__(self, app: App, serving: Callable[[], Serving]) -> None:
        self._app = app
        self._serving = serving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its model resolved, or answer why that cannot be."""
        if scope["type"] == "websocket":
            message = (
                "lorarack serves no websockets: it cannot keep true which version answers on one. Use a POST route."
            )
            await refuse_websocket(scope, send, 403, error_body(path_of(scope), 403, message, "route_refused"))
            return
        route = route_of(scope) if scope["type"] == "http" else None
        kind = Kind.PASSES if route is None else kind_of(scope["method"], route)
        if route is None or kind is Kind.PASSES:
            await self._app(scope, receive, send)
            return
        try:
            if kind is Kind.REFUSED:
                why = REFUSALS.get(route, "is not known to lorarack, which could not say which model answers there.")
                raise NotAllowed(f"{scope['method']} {route} is not offered: it {why}", code="route_refused")
            if self._serving().draining:
                message = "This server is stopping; ask another one, or this one once it is back."
                raise Unavailable(message, code="draining")
            _check_media_type(scope)
            body = await read_body(scope, receive, MAX_BODY_BYTES)
            if body is not None:
                await self._answer(scope, body, receive, send, counts=kind is Kind.TOKENS, route=route)
        except LorarackError as error:
            status = status_of(error)
            body_of_error = error_body(path_of(scope), status, error.message, error.code)
            await send_json(send, status, body_of_error, headers_of(error))

    async def _answer(
        self, scope: Scope, body: bytes, receive: Receive, send: Send, *, counts: bool, route: str
    ) -> None:
        document = json_object(body)
        if document is None or not isinstance(document.get("model"), str | None):
            if route == INVOCATIONS:
                raise UsageError('The body must be a JSON object whose "model" is a text.', code="bad_request")
            await self._app(scope, replay(body, receive), send)  # vLLM says best what is wrong with it
            return
        check_foreign_parameters(document)
        serving = self._serving()
        name = _asked(scope, document, route, serving)
        async with serving.answering(_short(name), load=not counts) as (engine_name, version, digest):
            # Tokens are the base's for all adapters, and only it is sure to be there.
            model = serving.limits.base if counts and version != serving.limits.base else engine_name
            if model != document.get("model") and (name or route == INVOCATIONS):
                body = json.dumps({**document, "model": model}).encode()
            if route == INVOCATIONS:
                scope = with_headers(scope, (ADAPTER_HEADER, model.encode()))
            scope = with_headers(scope, (b"content-length", str(len(body)).encode()), without=[b"transfer-encoding"])
            await self._app(scope, replay(body, receive), adding(_headers(version, digest), send))


def _asked(scope: Scope, document: dict[str, Any], route: str, serving: Serving) -> str:
    """The model's name; empty for the base. SageMaker's clients may give it in a header instead."""
    name = document.get("model") or ""
    given = header(scope, ADAPTER_HEADER).decode("latin-1").strip()
    if not given or given == name:
        return name
    if route != INVOCATIONS:
        raise UsageError(
            'An adapter is asked for by "model" on this route; leave the header X-Amzn-SageMaker-Adapter-Identifier out.',
            code="adapter_parameter",
        )
    if name and name not in serving.base_names:
        raise UsageError(
            'X-Amzn-SageMaker-Adapter-Identifier and "model" name two different adapters; leave one of them out.',
            code="adapter_parameter",
        )
    return given


def _check_media_type(scope: Scope) -> None:
    if header(scope, b"content-type").partition(b";")[0].strip().lower() != b"application/json":
        raise UsageError("This route takes JSON: send the header 'Content-Type: application/json'.", code="not_json")


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[:60]}…"


def _headers(version: str, digest: str) -> Headers:
    return [(b"x-lorarack-version", version.encode()), (b"x-lorarack-digest", digest.encode())]
