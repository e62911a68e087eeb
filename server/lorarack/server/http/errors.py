"""Errors in the body that a route's own clients expect, always with a stable word in ``code`` and the reason in plain words."""

from typing import Any

from lorarack.registry.errors import BadReference, LorarackError

_ANTHROPIC_ROUTES = "/v1/messages"
_ANTHROPIC_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error"}


def status_of(error: LorarackError) -> int:
    """The HTTP status of an error about a model's name. What is no reference is an unknown model to OpenAI's clients: 404."""
    return 404 if isinstance(error, BadReference) else error.http_status


def error_body(path: str, status: int, message: str, code: str) -> dict[str, Any]:
    """The body for ``path``: Anthropic's shape on its messages routes, OpenAI's everywhere else."""
    if path.startswith(_ANTHROPIC_ROUTES):
        kind = _ANTHROPIC_TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")
        return {"type": "error", "error": {"type": kind, "message": message, "code": code}}
    kind = "invalid_request_error" if status < 500 else "server_error"
    param = "model" if status in (404, 409) else None
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}
