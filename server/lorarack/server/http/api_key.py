"""The key check of all routes, before anything else of the app. vLLM's own guards only paths under four prefixes."""

import hashlib
import hmac
from collections.abc import Iterable

from lorarack.server.caller import Caller
from lorarack.server.http.asgi import (
    App,
    Receive,
    Scope,
    Send,
    header,
    path_of,
    refuse_websocket,
    send_json,
    with_caller,
    with_headers,
)
from lorarack.server.http.errors import error_body

#: What load balancers and monitors ask for without a key, with GET or HEAD.
OPEN_PATHS = frozenset({"/health", "/ready", "/metrics"})


class ApiKeyMiddleware:
    """Plain ASGI middleware: all but reading :data:`OPEN_PATHS` wants one of the keys.

    A key comes as ``Authorization: Bearer KEY`` (OpenAI's clients) or ``x-api-key: KEY`` (Anthropic's). The body of a request
    without one is not read.
    """

    def __init__(self, app: App, keys: Iterable[str]) -> None:
        self._app = app
        self._keys = [(_digest(key.encode()), Caller(f"key-{number}")) for number, key in enumerate(keys, 1)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, or answer 401 (a websocket is turned down before it opens)."""
        if scope["type"] not in ("http", "websocket") or _is_open(scope):
            await self._app(scope, receive, send)
            return
        for key in _given(scope):
            if caller := self._caller(key):
                # As vLLM's own check, further in, wants it.
                scope = with_headers(with_caller(scope, caller), (b"authorization", b"Bearer " + key))
                await self._app(scope, receive, send)
                return
        message = "This server wants a key: send it as 'Authorization: Bearer KEY' or 'x-api-key: KEY'."
        body = error_body(path_of(scope), 401, message, "not_allowed")
        if scope["type"] == "websocket":
            await refuse_websocket(scope, send, 401, body)
        else:
            await send_json(send, 401, body, [(b"www-authenticate", b"Bearer")])

    def _caller(self, key: bytes) -> Caller | None:
        given = _digest(key)
        # All keys are compared, each in constant time: how long it takes tells nothing about them.
        found = [caller for digest, caller in self._keys if hmac.compare_digest(given, digest)]
        return found[0] if found else None


def _is_open(scope: Scope) -> bool:
    if scope["type"] != "http":
        return False
    if scope["method"] in ("GET", "HEAD"):
        return path_of(scope) in OPEN_PATHS
    # What a browser asks before a request of another origin, which never carries a key; no route sees it.
    names = (b"origin", b"access-control-request-method")
    return scope["method"] == "OPTIONS" and all(header(scope, name) for name in names)


def _given(scope: Scope) -> list[bytes]:
    scheme, _, key = header(scope, b"authorization").partition(b" ")
    bearer = [key.strip()] if scheme.lower() == b"bearer" else []
    return [*bearer, header(scope, b"x-api-key").strip()]


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
