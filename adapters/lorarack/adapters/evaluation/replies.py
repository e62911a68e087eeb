"""From a server's HTTP responses to values, or to the error that they stand for."""

from typing import Any

import httpx

from lorarack.adapters.evaluation.answers import Reply
from lorarack.registry.errors import (
    EngineError,
    LorarackError,
    NotAllowed,
    NotFound,
    NotServeable,
    Unavailable,
    UsageError,
)

_ERRORS: dict[int, type[LorarackError]] = {
    400: UsageError,
    401: NotAllowed,
    403: NotAllowed,
    404: NotFound,
    409: NotServeable,
    410: NotServeable,
    413: UsageError,
    422: NotServeable,
    500: EngineError,
}


def read_reply(response: httpx.Response, model: str) -> Reply:
    """The reply in an answer to a chat or completion request for ``model``.

    Raises:
        NotFound, NotServeable, NotAllowed, UsageError, EngineError: what the status says, with the server's own words.
        Unavailable: any other failure, or no answer in OpenAI's form.
    """
    body = _body(response, model)
    try:
        choice = body["choices"][0]
        text = choice["message"]["content"] if "message" in choice else choice["text"]
        return Reply(
            text=text or "",
            tokens=int(body["usage"]["completion_tokens"]),
            cut_off=choice["finish_reason"] == "length",
            model=str(body["model"]),
            digest=response.headers.get("x-lorarack-digest"),
        )
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise _not_openai(response) from error


def _body(response: httpx.Response, wanted: str) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:
        body = None
    if not response.is_success:
        raise _failure(response, body, wanted)
    if not isinstance(body, dict):
        raise _not_openai(response)
    return body


def _failure(response: httpx.Response, body: Any, wanted: str) -> LorarackError:
    said = body.get("error") if isinstance(body, dict) else None
    words = said.get("message") if isinstance(said, dict) else said
    reason = f": {words}" if isinstance(words, str) and words else ""
    kind = _ERRORS.get(response.status_code, Unavailable)
    return kind(f"Asked for {wanted}, the server at {_root(response)} answered {response.status_code}{reason}")


def _not_openai(response: httpx.Response) -> Unavailable:
    return Unavailable(
        f"What answers at {_root(response)} does not speak OpenAI's API; is it the right port?", code="not_openai"
    )


def _root(response: httpx.Response) -> str:
    return str(response.request.url).partition("/v1")[0]
