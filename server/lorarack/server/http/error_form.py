"""Errors of what is further in, in the form that the route's own clients expect.

vLLM answers Anthropic's routes in OpenAI's form where a request does not fit its schema, and FastAPI has a form of its own for a
body that no decoder takes.
"""

import json
from typing import Any

from lorarack.server.http.asgi import Message, Send
from lorarack.server.http.errors import error_body, is_anthropic


def in_clients_form(path: str, send: Send) -> Send:
    """A ``send`` that waits for the end of an error, and converts it; answers pass as they come."""
    start: Message | None = None
    body = b""

    async def converted(message: Message) -> None:
        nonlocal start, body
        if message["type"] == "http.response.start" and message["status"] >= 400 and _is_json(message):
            start = message
        elif start is None:
            await send(message)
        else:
            body += message.get("body", b"")
            if not message.get("more_body", False):
                whole = _converted(path, start["status"], body)
                kept = [(key, value) for key, value in start["headers"] if key.lower() != b"content-length"]
                await send({**start, "headers": [*kept, (b"content-length", str(len(whole)).encode())]})
                await send({**message, "body": whole})

    return converted


def _is_json(message: Message) -> bool:
    return any(key.lower() == b"content-type" and b"json" in value for key, value in message.get("headers", ()))


def _converted(path: str, status: int, raw: bytes) -> bytes:
    try:
        document = json.loads(raw)
    except ValueError:
        return raw
    said = _message(path, document)
    if said is None:
        return raw
    return json.dumps(error_body(path, status, said, "bad_request" if status < 500 else "server_error")).encode()


def _message(path: str, document: Any) -> str | None:
    """What an error in another form says; None: its form is right, or unknown."""
    if not isinstance(document, dict):
        return None
    error = document.get("error")
    if isinstance(error, dict):
        right = not is_anthropic(path) or document.get("type") == "error"
        return None if right else str(error.get("message"))
    return str(document["detail"]) if "detail" in document else None
