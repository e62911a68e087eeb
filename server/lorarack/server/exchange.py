"""One request with its response, and what observes it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from lorarack.server.caller import Caller
from lorarack.server.router import Route


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens, as the response counts them."""

    prompt: int
    completion: int


@dataclass(slots=True)
class Exchange:
    """What is known of one request so far.

    Attributes:
        caller: who sent it.
        request: method and path.
        route: what answers it; None until it is resolved.
        status: of the response; None until it starts.
        first_byte: seconds until the response's first byte.
        seconds: until its end; None before.
        usage: its tokens, where the response counts them.
    """

    caller: Caller
    request: str
    route: Route | None = None
    status: int | None = None
    first_byte: float | None = None
    seconds: float | None = None
    usage: Usage | None = None
    began: float = field(default_factory=time.perf_counter)

    def elapsed(self) -> float:
        """Seconds since the request came."""
        return time.perf_counter() - self.began


def _ignore(_: Exchange) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Observer:
    """Is told of every request that a model may answer: when it starts, at its response's first byte, and at its end."""

    start: Callable[[Exchange], None] = _ignore
    first_byte: Callable[[Exchange], None] = _ignore
    end: Callable[[Exchange], None] = _ignore
