"""Streamed requests to a running server, and when each part of each answer came."""

import asyncio
import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

import httpx

_DATA, _DONE = b"data: ", b"data: [DONE]"


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer; times are those of `time.perf_counter`.

    Attributes:
        model: what answered, as the body says.
        version: the same, as our header says; empty from another server.
        sent: when the request was sent.
        arrivals: when each part of the answer came, with a token or several.
        tokens: how many tokens were generated.
    """

    model: str
    version: str
    sent: float
    arrivals: tuple[float, ...]
    tokens: int

    @property
    def first_token(self) -> float:
        """Seconds from the request to its first token."""
        return self.arrivals[0] - self.sent

    @property
    def gaps(self) -> list[tuple[float, float]]:
        """When each further part came, and the seconds since the one before it."""
        return [(now, now - before) for before, now in zip(self.arrivals, self.arrivals[1:], strict=False)]


@dataclass(frozen=True, slots=True)
class Load:
    """Requests of equal lengths (in tokens), each to the model of its place in ``models``, ``clients`` at a time."""

    models: Sequence[str]
    prompt: int
    output: int
    clients: int = 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """All answers of a load, and the seconds from the first request to the last answer."""

    answers: tuple[Answer, ...]
    seconds: float

    @property
    def tokens_per_second(self) -> float:
        """Generated tokens."""
        return sum(answer.tokens for answer in self.answers) / self.seconds

    @property
    def requests_per_second(self) -> float:
        """Answers."""
        return len(self.answers) / self.seconds


def session(url: str) -> httpx.AsyncClient:
    """A client that keeps as many connections as there are requests at a time."""
    return httpx.AsyncClient(base_url=url, timeout=600, limits=httpx.Limits(max_connections=None))


def run(url: str, load: Load, seed: int) -> Outcome:
    """Send a load. Prompts are random and repeat only for the same ``seed``."""

    async def send() -> Outcome:
        async with session(url) as client:
            return await send_all(client, load, seed)

    return asyncio.run(send())


async def send_all(client: httpx.AsyncClient, load: Load, seed: int) -> Outcome:
    """Send a load over ``client``."""
    waiting = list(zip(load.models, prompts(len(load.models), load.prompt, seed), strict=True))[::-1]
    answers: list[Answer] = []

    async def ask_in_turn() -> None:
        while waiting:
            model, prompt = waiting.pop()
            answers.append(await ask(client, model, prompt, load.output))

    begin = time.perf_counter()
    await asyncio.gather(*(ask_in_turn() for _ in range(load.clients)))
    return Outcome(tuple(answers), time.perf_counter() - begin)


def prompts(count: int, length: int, seed: int) -> list[list[int]]:
    """Random tokens."""
    source = random.Random(seed)
    return [[source.randrange(1000, 40000) for _ in range(length)] for _ in range(count)]


async def ask(client: httpx.AsyncClient, model: str, prompt: Sequence[int], output: int) -> Answer:
    """Stream one answer of exactly ``output`` tokens.

    Raises:
        RuntimeError: it has another length.
        HTTPStatusError: the server refused.
    """
    body = {
        "model": model, "prompt": list(prompt), "max_tokens": output, "ignore_eos": True, "temperature": 0, "stream": True,
        "stream_options": {"include_usage": True},
    }  # fmt: skip
    sent, arrivals, last = time.perf_counter(), list[float](), b""
    async with client.stream("POST", "/v1/completions", json=body) as response:
        if response.is_error:
            await response.aread()
        response.raise_for_status()
        rest = b""
        async for piece in response.aiter_raw():
            now = time.perf_counter()
            *lines, rest = (rest + piece).split(b"\n")
            events = [line for line in lines if line.startswith(_DATA) and not line.startswith(_DONE)]
            if events:
                arrivals.append(now)
                last = events[-1]
    end = json.loads(last.removeprefix(_DATA))
    if (tokens := end["usage"]["completion_tokens"]) != output:
        raise RuntimeError(f"{output} tokens were asked for and {tokens} came")
    return Answer(end["model"], response.headers.get("x-lorarack-version", ""), sent, tuple(arrivals), tokens)
