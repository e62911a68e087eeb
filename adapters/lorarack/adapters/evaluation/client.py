"""Asking a running server many questions at a time, over OpenAI's routes."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from lorarack.adapters.data.rows import Row
from lorarack.adapters.evaluation.answers import Reply
from lorarack.adapters.evaluation.replies import read_reply
from lorarack.registry.errors import LorarackError, Unavailable

#: A whole answer of a slow machine under load, in seconds.
_LONGEST = 600.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Question:
    """One row to ask of one model."""

    model: str
    row: Row


@dataclass(frozen=True, slots=True)
class ServerClient:
    """A server that speaks OpenAI's routes.

    Attributes:
        url: where it is, with or without ``/v1``.
        api_key: its key, if it wants one.
        at_once: how many requests are under way at a time, so that one batch of the engine holds them all.
        max_tokens: where an answer is cut off.
    """

    url: str
    api_key: str | None = None
    at_once: int = 64
    max_tokens: int = 256

    def ask(self, questions: Sequence[Question], done: Callable[[int], None] = lambda _: None) -> tuple[Reply, ...]:
        """The replies, in the order of the questions. Greedy: the likeliest token each time.

        Args:
            questions: asked in this order, ``at_once`` at a time; interleave models to have them in one batch.
            done: called after each reply with the number of replies so far.

        Raises:
            Unavailable, NotAllowed, NotFound, NotServeable, UsageError, EngineError: the first request that failed; the
            others are given up.
        """

        async def ask_all(http: httpx.AsyncClient) -> tuple[Reply, ...]:
            replies: dict[int, Reply] = {}
            waiting = iter(enumerate(questions))

            async def worker(mine: Iterator[tuple[int, Question]]) -> None:
                for index, question in mine:
                    replies[index] = await self._ask_one(http, question)
                    done(len(replies))

            async with asyncio.TaskGroup() as workers:
                for _ in range(min(self.at_once, len(questions))):
                    workers.create_task(worker(waiting))
            return tuple(replies[index] for index in range(len(questions)))

        return self._run(ask_all)

    async def _ask_one(self, http: httpx.AsyncClient, question: Question) -> Reply:
        row = question.row
        common: dict[str, Any] = {"model": question.model, "temperature": 0.0, "stream": False}
        if row.prompt is None:
            body = common | {"messages": row.prompt_messages, "max_completion_tokens": self.max_tokens}
            body |= row.options.to_json()
            if row.options.tools:  # they are in the prompt all the same, and the answer stays the text that is scored
                body["tool_choice"] = "none"
            return read_reply(await http.post("chat/completions", json=body), question.model)
        body = common | {"prompt": row.prompt, "max_tokens": self.max_tokens}
        return read_reply(await http.post("completions", json=body), question.model)

    def _run(self, work: Callable[[httpx.AsyncClient], Awaitable[T]]) -> T:
        async def inside() -> T:
            root = self.url.rstrip("/").removesuffix("/v1")
            headers = {"authorization": f"Bearer {self.api_key}"} if self.api_key else {}
            limits = httpx.Limits(max_connections=self.at_once)
            outside = httpx.URL(root).host not in (
                "127.0.0.1",
                "::1",
                "localhost",
            )  # else a proxy has no business here
            timeout = httpx.Timeout(_LONGEST, connect=10.0)
            async with httpx.AsyncClient(
                base_url=f"{root}/v1/", headers=headers, limits=limits, timeout=timeout, trust_env=outside
            ) as http:
                return await work(http)

        try:
            return asyncio.run(inside())
        except (LorarackError, httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._translated(error) from error
        except BaseExceptionGroup as group:
            raise self._translated(_first(group)) from group

    def _translated(self, error: BaseException) -> BaseException:
        if isinstance(error, httpx.TimeoutException):
            return Unavailable(f"The server at {self.url} did not answer in time ({type(error).__name__}).")
        if isinstance(error, httpx.ConnectError | httpx.UnsupportedProtocol | httpx.InvalidURL):
            return Unavailable(
                f"No server answers at {self.url} ({error}); start one with 'lorarack serve BASE', or leave out --url."
            )
        if isinstance(error, httpx.HTTPError):
            return Unavailable(f"The server at {self.url} broke off ({type(error).__name__}); look at its log.")
        return error


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
