"""One gate for all routes. vLLM's own key guards only paths under /v1, /v2, /inference and /cohere."""

import hashlib
import hmac
from collections.abc import Iterable

from lorarack.server.http.errors import error_body
from lorarack.server.http.wire import App, Receive, Scope, Send, header, path_of, send_json

#: What load balancers and monitors ask for without a key.
OPEN_PATHS = frozenset({"/health", "/ready", "/metrics"})


class ApiKeyGate:
    """Plain ASGI middleware: every route but :data:`OPEN_PATHS` wants ``Authorization: Bearer KEY`` with one of the keys."""

    def __init__(self, app: App, keys: Iterable[str]) -> None:
        self._app = app
        self._digests = [_digest(key.encode()) for key in keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, or answer 401 (a websocket is closed before it opens)."""
        if scope["type"] not in ("http", "websocket") or path_of(scope) in OPEN_PATHS or self._may_pass(scope):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            message = "This server wants a key: send it as 'Authorization: Bearer KEY'."
            body = error_body(path_of(scope), 401, message, "not_allowed")
            await send_json(send, 401, body, [(b"www-authenticate", b"Bearer")])

    def _may_pass(self, scope: Scope) -> bool:
        scheme, _, key = header(scope, b"authorization").partition(b" ")
        given = _digest(key)
        # All keys are compared, each in constant time: how long it takes tells nothing about them.
        matches = [hmac.compare_digest(given, digest) for digest in self._digests]
        return scheme.lower() == b"bearer" and any(matches)


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
