"""One request with its response, and what observes it."""

import time
import uuid
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from lorarack.server.caller import Caller
from lorarack.server.router import Route, Shadow


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens, as the response counts them."""

    prompt: int
    completion: int


@dataclass(frozen=True, slots=True)
class Generation:
    """One text that the engine generated for a request, which may ask for several.

    Attributes:
        prompt: tokens of its prompt.
        tokens: tokens of the text.
        first_token: seconds from the request's arrival to its first token.
        decode_seconds: from its first token to its last.
    """

    prompt: int
    tokens: int
    first_token: float
    decode_seconds: float


@dataclass(slots=True)
class ServedText:
    """A text that the engine generates, kept whole where another arm is to answer as well.

    Attributes:
        asked: what the engine was asked, in its own form.
        prompt: its tokens.
        tokens: of the text so far.
        text: so far.
        finished: whether that is all of it.
    """

    asked: dict[str, Any]
    prompt: list[int] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    text: str = ""
    finished: bool = False


@dataclass(slots=True)
class Exchange:
    """What is known of one request so far.

    Attributes:
        caller: who sent it.
        request: method and path.
        id: the client's ``X-Request-Id``, else one of ours; the response and the log carry it.
        route: what answers it; None until it is resolved.
        status: of the response; None until it starts.
        first_byte: seconds until the response's first byte.
        seconds: until its end; None before.
        usage: its tokens, as the response or the engine counts them.
        generations: what the engine generated for it.
        served: the texts, where the route wants a shadow.
        completion: the response's own id, where it has one.
        chat_template: with which its chat is rendered; None: the server's.
        asked: the model name that it gave; None until that is read, and where it gave none.
    """

    caller: Caller
    request: str
    route: Route | None = None
    status: int | None = None
    first_byte: float | None = None
    seconds: float | None = None
    usage: Usage | None = None
    generations: list[Generation] = field(default_factory=list)
    served: list[ServedText] = field(default_factory=list)
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    completion: str | None = None
    chat_template: str | None = None
    asked: str | None = None
    began: float = field(default_factory=time.perf_counter)

    def elapsed(self) -> float:
        """Seconds since the request came."""
        return time.perf_counter() - self.began

    @property
    def wants_shadow(self) -> bool:
        """Whether another arm is to answer as well."""
        return self.route is not None and self.route.arm is not None and isinstance(self.route.arm.shadow, Shadow)

    @property
    def first_token(self) -> float | None:
        """Seconds to the first token of all that was generated."""
        return min((generation.first_token for generation in self.generations), default=None)

    def count_tokens(self, said: Usage | None) -> None:
        """Keep the response's token counts; without them, the engine's."""
        made = self.generations
        counted = Usage(sum(g.prompt for g in made), sum(g.tokens for g in made)) if made else None
        self.usage = said or counted


#: The request that this task answers; None outside one.
CURRENT: ContextVar[Exchange | None] = ContextVar("lorarack_exchange", default=None)


def _ignore(_: Exchange) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Observer:
    """Called for every request that a model may answer: at its start, at its response's first byte, and at its end."""

    start: Callable[[Exchange], None] = _ignore
    first_byte: Callable[[Exchange], None] = _ignore
    end: Callable[[Exchange], None] = _ignore
