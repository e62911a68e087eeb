"""The key check of all routes, before anything else of the app. vLLM's own guards only paths under four prefixes."""

from collections.abc import Callable
from functools import partial

from lorarack.registry.access import Scope
from lorarack.server.caller import Caller
from lorarack.server.http.asgi import (
    App,
    Receive,
    Send,
    header,
    path_of,
    refuse_websocket,
    send_json,
    with_caller,
    with_headers,
)
from lorarack.server.http.asgi import Scope as Asgi
from lorarack.server.http.errors import FINAL, error_body
from lorarack.server.key_ring import KeyRing

METRICS = "/metrics"
#: What load balancers and monitors ask for without a key, with GET or HEAD; metrics may be closed.
OPEN_PATHS = frozenset({"/health", "/ready", METRICS})
#: About the whole server: who may ask one adapter need not know of the others.
ADMIN_PATHS = frozenset(
    {"/load", "/kv_event_sources", "/fault_tolerance/status", "/is_scaling_elastic_ep", "/v1/residency"}
)
_CREDENTIALS = (b"authorization", b"x-api-key")


class ApiKeyMiddleware:
    """Plain ASGI middleware: every request but reads of :data:`OPEN_PATHS` requires a key, on a server that has any.

    A key comes as ``Authorization: Bearer KEY`` (OpenAI's clients) or ``x-api-key: KEY`` (Anthropic's). The body of a request
    without one is not read, and no key goes further in than here.
    """

    def __init__(
        self,
        app: App,
        keys: KeyRing,
        *,
        close_metrics: bool = False,
        with_cors: Callable[[App], App] = lambda app: app,
    ) -> None:
        """``with_cors`` is put around refusals: what adds CORS headers to all else lies further in."""
        self._app = app
        self._keys = keys
        self._with_cors = with_cors
        self._open = OPEN_PATHS - {METRICS} if close_metrics else OPEN_PATHS

    async def __call__(self, scope: Asgi, receive: Receive, send: Send) -> None:
        """Let the request through, or answer 401 or 403 (a websocket is turned down before it opens)."""
        if scope["type"] not in ("http", "websocket") or self._is_open(scope) or not self._keys.closed:
            await self._app(scope, receive, send)
            return
        caller = next((caller for key in _given(scope) if (caller := self._keys.caller(key))), None)
        wanted = scope_of(path_of(scope))
        if caller is None:
            message = "This server wants a key: send it as 'Authorization: Bearer KEY' or 'x-api-key: KEY'."
            await self._with_cors(partial(_refuse, 401, message))(scope, receive, send)
        elif not caller.has(wanted):
            message = f"The key {caller.name!r} is not for this route; use one with the scope {wanted.value!r}."
            await self._with_cors(partial(_refuse, 403, message))(scope, receive, send)
        else:
            await self._app(self._inside(scope, caller), receive, send)

    def _inside(self, scope: Asgi, caller: Caller) -> Asgi:
        """As vLLM's own check requires it."""
        kept = [(b"authorization", b"Bearer " + self._keys.inner)] if self._keys.inner else []
        return with_headers(with_caller(scope, caller), *kept, without=_CREDENTIALS)

    def _is_open(self, scope: Asgi) -> bool:
        if scope["type"] != "http":
            return False
        if scope["method"] in ("GET", "HEAD"):
            return path_of(scope) in self._open
        # What a browser asks before a request of another origin, which never carries a key; no route sees it.
        names = (b"origin", b"access-control-request-method")
        return scope["method"] == "OPTIONS" and all(header(scope, name) for name in names)


async def _refuse(status: int, message: str, scope: Asgi, _: Receive, send: Send) -> None:
    body = error_body(path_of(scope), status, message, "not_allowed")
    if scope["type"] == "websocket":
        await refuse_websocket(scope, send, status, body)
    else:
        await send_json(send, status, body, [(b"www-authenticate", b"Bearer")] if status == 401 else [FINAL])


def scope_of(path: str) -> Scope:
    """What a key must be for to use the route at ``path``."""
    if path == METRICS or path.startswith(f"{METRICS}/"):  # all below is mounted there
        return Scope.METRICS
    return Scope.ADMIN if path in ADMIN_PATHS else Scope.INFERENCE


def _given(scope: Asgi) -> list[bytes]:
    scheme, _, key = header(scope, b"authorization").partition(b" ")
    bearer = [key.strip()] if scheme.lower() == b"bearer" else []
    return [*bearer, header(scope, b"x-api-key").strip()]
