"""Tells observers of a request's start, its response's first byte and its end, and reads its status, id and usage."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from lorarack.server.exchange import CURRENT, Exchange, Observer, Usage
from lorarack.server.http.asgi import Message, Send

#: Of a response's end; usage stands there, in a stream in its last event.
_TAIL_BYTES = 2048
#: Of a response's beginning; its id stands there, before any text.
_HEAD_BYTES = 512
_ID = re.compile(rb'"id":\s*"([^"\\]{1,255})"')
#: OpenAI's names and Anthropic's. Inside a text quotes are escaped, so no answer can pretend.
_PROMPT = re.compile(rb'(?<!\\)"(?:prompt|input)_tokens":\s*(\d+)')
_COMPLETION = re.compile(rb'(?<!\\)"(?:completion|output)_tokens":\s*(\d+)')


@contextmanager
def observed(exchange: Exchange, send: Send, observers: Sequence[Observer]) -> Iterator[Send]:
    """A ``send`` for the response; the request ends with the block."""
    head = tail = b""

    async def watched(message: Message) -> None:
        nonlocal head, tail
        if message["type"] == "http.response.start":
            exchange.status = message["status"]
        elif message["type"] == "http.response.body" and (body := message.get("body", b"")):
            if exchange.first_byte is None:
                exchange.first_byte = exchange.elapsed()
                for observer in observers:
                    observer.first_byte(exchange)
            if len(head) < _HEAD_BYTES:
                head += body[:_HEAD_BYTES]
            tail = (tail + body)[-_TAIL_BYTES:]
        await send(message)

    for observer in observers:
        observer.start(exchange)
    current = CURRENT.set(exchange)
    try:
        yield watched
    finally:
        CURRENT.reset(current)
        exchange.seconds = exchange.elapsed()
        exchange.count_tokens(_usage(tail))
        if found := _ID.search(head[:_HEAD_BYTES]):
            exchange.completion = found[1].decode("utf-8", "replace")
        for observer in observers:
            observer.end(exchange)


def _usage(tail: bytes) -> Usage | None:
    prompt, completion = _PROMPT.findall(tail), _COMPLETION.findall(tail)
    return Usage(int(prompt[-1]), int(completion[-1])) if prompt and completion else None
