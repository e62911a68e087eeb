"""One prompt to a running server, its answer as it comes."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lorarack.registry.errors import Unavailable, UsageError
from lorarack.registry.openai_client import ModelServer


@dataclass(frozen=True, slots=True)
class Prompt:
    """What to ask, and how.

    Attributes:
        model: a reference, or the base's name.
        text: the user's message.
        system: a system message before it.
        max_tokens: the longest answer.
        temperature: 0 takes the likeliest token each time.
        raw: complete ``text`` as it is, without the chat template.
    """

    model: str
    text: str
    system: str | None = None
    max_tokens: int = 256
    temperature: float = 0.0
    raw: bool = False


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of an answer. Version and digest come with every chunk; ``tokens`` with the last one."""

    text: str
    version: str
    digest: str
    tokens: int | None = None
    finish_reason: str | None = None


def ask(url: str, prompt: Prompt, key: str | None = None, timeout: float = 300.0) -> Iterator[Chunk]:
    """Ask the server at ``url`` (with or without ``/v1``).

    Raises:
        NotFound: the server knows no such model.
        Conflict: it has that version, and will not serve it.
        NotAllowed: the key is missing or wrong.
        UsageError: the prompt, the address or the key cannot be sent, or the server would not take the prompt.
        RateLimited: the server wants fewer requests.
        Unavailable: no server there, or it failed.
    """
    server = ModelServer(url, key, timeout)
    body = _body(prompt)
    with server.client() as client, server.errors():
        routes: Any = client.completions if prompt.raw else client.chat.completions
        response = routes.with_raw_response.create(**body)
        version = response.headers.get("x-lorarack-version", prompt.model)
        digest = response.headers.get("x-lorarack-digest", "")
        answered = False
        with response.parse() as events:
            for event in events:
                answered = True
                yield _chunk(event, version, digest)
        if not answered:
            raise Unavailable(
                f"What listens at {server.address} gave no answer; is it a server of models? Name one with --url."
            )


def _body(prompt: Prompt) -> dict[str, Any]:
    """OpenAI's request, streamed."""
    try:
        f"{prompt.model}{prompt.system or ''}{prompt.text}".encode()
    except UnicodeEncodeError as error:
        raise UsageError("The question contains a lone surrogate, which no server accepts; write it again.") from error
    if not math.isfinite(prompt.temperature):
        raise UsageError(f"The temperature {prompt.temperature} is not a number that a server takes.")
    shared = {
        "model": prompt.model,
        "max_tokens": prompt.max_tokens,
        "temperature": prompt.temperature,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if prompt.raw:
        return {**shared, "prompt": prompt.text}
    system = [{"role": "system", "content": prompt.system}] if prompt.system else []
    return {**shared, "messages": [*system, {"role": "user", "content": prompt.text}]}


def _chunk(event: Any, version: str, digest: str) -> Chunk:
    choice = next(iter(getattr(event, "choices", None) or ()), None)
    delta = getattr(choice, "delta", None)
    text = getattr(choice, "text", None) or getattr(delta, "content", None) or ""
    tokens = getattr(getattr(event, "usage", None), "completion_tokens", None)
    return Chunk(text, version, digest, tokens, getattr(choice, "finish_reason", None))
