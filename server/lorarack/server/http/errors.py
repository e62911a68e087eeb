"""Errors in the body that a route's own clients expect, always with a stable word in ``code`` and the reason in plain words.

A status says what a client should do. OpenAI's and Anthropic's clients send a request again after 408, 409, 429 and everything
from 500 on, so what no repetition changes gets none of these.
"""

from collections.abc import Mapping
from typing import Any

from lorarack.registry.errors import BadReference, EngineError, LorarackError, RateLimited, StoreError
from lorarack.server.http.asgi import Headers

_ANTHROPIC_ROUTES = "/v1/messages"
_ANTHROPIC_TYPES = {
    401: "authentication_error", 403: "permission_error", 404: "not_found_error", 410: "not_found_error",
    413: "request_too_large", 429: "rate_limit_error", 503: "overloaded_error",
}  # fmt: skip

#: By code, where the class says too little. 410: no server serves this version; ask for another.
_STATUS: Mapping[str, int] = {
    "not_ready": 410,
    "damaged": 410,
    "too_large": 413,
    "not_json": 415,
    "not_form": 415,
    "bad_encoding": 415,
}
#: About a model's name, as OpenAI's ``param`` says.
_OF_MODEL = frozenset({404, 410, 422})
FINAL = (b"x-should-retry", b"false")


def status_of(error: LorarackError) -> int:
    """The HTTP status of an error. What is no reference is an unknown model to OpenAI's clients: 404."""
    if isinstance(error, BadReference):
        return 404
    return _STATUS.get(error.code, error.http_status)


def headers_of(error: LorarackError) -> Headers:
    """Whether and when to try again, for clients that obey."""
    if isinstance(error, RateLimited):
        return [(b"retry-after", str(error.retry_after).encode())]
    if status_of(error) < 500:
        return [FINAL]
    if isinstance(error, EngineError):  # the engine would not have it: it hardly will a second later
        return [(b"retry-after", b"30"), FINAL]
    return [(b"retry-after", b"2" if isinstance(error, StoreError) else b"5")]


def is_anthropic(path: str) -> bool:
    """Whether Anthropic's clients use the route."""
    return path == _ANTHROPIC_ROUTES or path.startswith(f"{_ANTHROPIC_ROUTES}/")


def error_body(path: str, status: int, message: str, code: str) -> dict[str, Any]:
    """The body for ``path``: Anthropic's shape on its messages routes, OpenAI's everywhere else."""
    if is_anthropic(path):
        kind = _ANTHROPIC_TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")
        return {"type": "error", "error": {"type": kind, "message": message, "code": code}}
    kind = "rate_limit_error" if status == 429 else "invalid_request_error" if status < 500 else "server_error"
    param = "model" if status in _OF_MODEL else None
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}
