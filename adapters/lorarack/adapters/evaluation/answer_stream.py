"""An answer as it arrives, with the moments of its first and its last token."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from lorarack.adapters.evaluation.answers import Reply
from lorarack.registry.errors import Unavailable
from lorarack.registry.openai_client import ModelServer


async def read_stream(response: Any, began: float, server: ModelServer) -> Reply:
    """The whole answer of a chat or completion request that was sent with ``stream`` and ``include_usage``.

    Args:
        response: what ``with_raw_response`` returned.
        began: when the request was sent, by ``time.perf_counter``.
        server: for the sentence of an error.

    Raises:
        Unavailable: it is no answer in OpenAI's form, or breaks off.
    """
    parsed: Any = response.parse()
    stream = await parsed if asyncio.iscoroutine(parsed) else parsed
    texts: list[str] = []
    model, finish, tokens, first, last = None, None, None, None, None
    try:
        async with stream:
            async for event in stream:
                model = event.model
                tokens = event.usage.completion_tokens if event.usage is not None else tokens
                for choice in event.choices:
                    finish = choice.finish_reason or finish
                    if text := _text(choice):
                        last = time.perf_counter()
                        first = last if first is None else first
                        texts.append(text)
    except (AttributeError, TypeError, ValueError) as error:
        raise _no_answer(server) from error
    if model is None:
        raise _no_answer(server)
    if finish is None:
        raise Unavailable(f"The server at {server.address} broke off in the midst of an answer; try again.")
    return _reply("".join(texts), model, finish, tokens or len(texts), response.headers, began, first, last)


def _reply(
    text: str,
    model: str,
    finish: str,
    tokens: int,
    headers: Mapping[str, str],
    began: float,
    first: float | None,
    last: float | None,
) -> Reply:
    spread = last - first if first is not None and last is not None and tokens > 1 else None
    return Reply(
        text=text,
        tokens=tokens if text else 0,
        cut_off=finish == "length",
        model=model,
        digest=headers.get("x-lorarack-digest"),
        first_token=None if first is None else first - began,
        between_tokens=None if spread is None else spread / (tokens - 1),
    )


def _text(choice: Any) -> str:
    """What a choice of a chat or of a completion adds to the text."""
    text = choice.delta.content if hasattr(choice, "delta") else choice.text
    if not isinstance(text, str | None):
        raise TypeError
    return text or ""


def _no_answer(server: ModelServer) -> Unavailable:
    return Unavailable(
        f"What answers at {server.address} does not speak OpenAI's API; is it the right port?", code="not_openai"
    )
