"""From the model name of a request to one exact version, before vLLM sees the request.

What happens to a request is decided by the route that will take it (see ``route_table``). Only routes that answer with a model
have a version loaded, and only their answers say in the headers which one it was.
"""

import json
import re
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

from lorarack.registry.errors import LorarackError, NotAllowed, Unavailable, UsageError
from lorarack.server.app_state import AppState
from lorarack.server.exchange import Exchange
from lorarack.server.http.adapter_parameters import check_adapter_parameters
from lorarack.server.http.asgi import (
    App,
    Disconnected,
    Headers,
    Receive,
    Scope,
    Send,
    caller_of,
    header,
    path_of,
    read_body,
    refuse_websocket,
    replay,
    send_json,
    while_connected,
    with_headers,
    with_request_id,
    with_response_headers,
)
from lorarack.server.http.content_encoding import decoded
from lorarack.server.http.error_form import in_clients_form
from lorarack.server.http.errors import error_body, headers_of, status_of
from lorarack.server.http.observe import observed
from lorarack.server.http.request_defaults import own_template, with_defaults
from lorarack.server.http.request_form import parse_form
from lorarack.server.http.request_json import MAX_BODY_BYTES, json_object
from lorarack.server.http.request_span import request_span
from lorarack.server.http.route_table import ADAPTER_HEADER, FORMS, INVOCATIONS, REFUSALS, Kind, kind_of, route_of
from lorarack.server.router import Ask, Route

#: The longest reference there can be is shorter; what is longer is not repeated in an error.
_LONGEST_NAME = 256
_USER_HEADER = b"x-lorarack-user"
#: Of a body, about; what was read is known at the end. Pictures and sound have far more bytes than tokens.
_BYTES_A_TOKEN = 4
_MOST_TOKENS = 4096
#: What of a client's ``X-Request-Id`` may go into a log and a header.
_REQUEST_ID = re.compile(rb"[\w.:/+=-]{1,128}")


class ModelResolverMiddleware:
    """Plain ASGI middleware: routes the request, rewrites ``model``, and names the version that answers in the headers."""

    def __init__(self, app: App, state: Callable[[], AppState]) -> None:
        self._app = app
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its model resolved, or answer why that cannot be."""
        if scope["type"] == "websocket":
            message = (
                "lorarack serves no websockets: it cannot keep true which version answers on one. Use a POST route."
            )
            await refuse_websocket(scope, send, 403, error_body(path_of(scope), 403, message, "route_refused"))
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = route_of(scope)
        kind = Kind.PASSES if path is None else kind_of(scope["method"], path)
        if path is None or kind is Kind.PASSES:
            await self._app(scope, receive, in_clients_form(path_of(scope), send))
            return
        exchange = Exchange(caller_of(scope), f"{scope['method']} {path}")
        if _REQUEST_ID.fullmatch(given := header(scope, b"x-request-id")):
            exchange.id = given.decode()
        scope = with_headers(scope, (b"x-request-id", exchange.id.encode()))  # vLLM's own name for it holds this one
        send = with_request_id(exchange.id, send)
        with (
            request_span(scope, path, exchange) as inner,
            observed(exchange, send, self._state().observers) as watched,
        ):
            try:
                await self._answer(inner, receive, in_clients_form(path, watched), exchange, path, kind)
            except Disconnected:
                return
            except LorarackError as error:
                status = status_of(error)
                body = error_body(path_of(scope), status, error.message, error.code)
                await send_json(watched, status, body, headers_of(error))

    async def _answer(
        self, scope: Scope, receive: Receive, send: Send, exchange: Exchange, path: str, kind: Kind
    ) -> None:
        state = self._state()
        if kind is Kind.REFUSED:
            reason = REFUSALS.get(path, "is not known to lorarack, which could not say which model answers there.")
            raise NotAllowed(f"{exchange.request} is not offered: it {reason}", code="route_refused")
        if state.open_requests.draining:
            message = "This server is stopping; ask another one, or this one once it is back."
            raise Unavailable(message, code="draining")
        if path not in FORMS:
            _check_media_type(scope)
        read = await read_body(scope, receive, MAX_BODY_BYTES)
        if read is None:
            return
        scope, body = await decoded(scope, read, MAX_BODY_BYTES)
        form = parse_form(body, header(scope, b"content-type")) if path in FORMS else None
        document = form.document if form else json_object(body)
        if document is None or not isinstance(document.get("model"), str | None):
            if path == INVOCATIONS:
                raise UsageError('The body must be a JSON object whose "model" is a text.', code="bad_request")
            await self._app(scope, replay(body, receive), send)  # vLLM says best what is wrong with it
            return
        check_adapter_parameters(document)
        name = _model_name(scope, document, path, state.base_names)
        tokens = min(len(body) // _BYTES_A_TOKEN, _MOST_TOKENS)
        exchange.asked = _short(name) or None
        ask = Ask(_short(name), load=kind is Kind.ANSWERS, tokens=tokens, user=_user(scope, document))
        async with AsyncExitStack() as held:
            async with while_connected(receive):  # it may wait for its turn
                route = await held.enter_async_context(state.router.route(ask, exchange.caller))
            exchange.route = route
            model = route.engine_name
            renamed = model != document.get("model") and bool(name or path == INVOCATIONS)
            if form:
                body = form.with_model(model) if renamed else body
            else:
                filled = _filled(path, document, route, state)
                exchange.chat_template = own_template(path, document, route.defaults)
                if renamed or filled is not document:
                    body = json.dumps({**filled, "model": model} if renamed else filled).encode()
            if path == INVOCATIONS:
                scope = with_headers(scope, (ADAPTER_HEADER, model.encode()))
            scope = with_headers(scope, (b"content-length", str(len(body)).encode()), without=[b"transfer-encoding"])
            await self._app(scope, replay(body, receive), with_response_headers(_headers(route, scope), send))


def _filled(path: str, document: dict[str, Any], route: Route, state: AppState) -> dict[str, Any]:
    """The request with what the version brings along for it."""
    if route.defaults is None:
        return document
    return with_defaults(path, document, route.defaults, state.limits.max_model_len)


def _model_name(scope: Scope, document: dict[str, Any], path: str, base_names: frozenset[str]) -> str:
    """The model's name; empty for the base. SageMaker's clients may give it in a header instead."""
    name = document.get("model") or ""
    given = header(scope, ADAPTER_HEADER).decode("latin-1").strip()
    if not given or given == name:
        return name
    if path != INVOCATIONS:
        raise UsageError(
            'An adapter is asked for by "model" on this route; leave the header X-Amzn-SageMaker-Adapter-Identifier out.',
            code="adapter_parameter",
        )
    if name and name not in base_names:
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


def _user(scope: Scope, document: dict[str, Any]) -> str | None:
    """What identifies the caller's own user: a header of ours, or one of OpenAI's two fields."""
    given = header(scope, _USER_HEADER).decode("latin-1").strip()
    named = (given, document.get("safety_identifier"), document.get("user"))
    return next((each for each in named if isinstance(each, str) and each), None)


def _headers(route: Route, scope: Scope) -> Headers:
    named = [(b"x-lorarack-version", route.version.encode()), (b"x-lorarack-digest", route.digest.encode())]
    if route.arm:
        named.append((b"x-lorarack-arm", route.arm.name.encode()))
    if header(scope, b"origin"):  # a browser shows a page of another origin only the headers that are named here
        exposed = ", ".join(name.decode() for name, _ in named)
        named.append((b"access-control-expose-headers", exposed.encode()))
    return named
