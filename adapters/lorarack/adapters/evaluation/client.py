"""Asking a running server many questions at a time, through OpenAI's own client."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lorarack.adapters.data.rows import Row
from lorarack.adapters.evaluation.answer_stream import read_stream
from lorarack.adapters.evaluation.answers import Reply
from lorarack.adapters.evaluation.likelihood import reference_likelihood
from lorarack.registry.errors import LorarackError, RateLimited, Unavailable
from lorarack.registry.openai_client import ModelServer

if TYPE_CHECKING:
    import openai

#: A whole answer of a slow machine under load, in seconds.
_LONGEST = 600.0
#: Seconds before the second, third and fourth try of a request that failed for a reason that may pass.
PAUSES = (0.5, 2.0, 8.0)


@dataclass(frozen=True, slots=True)
class Question:
    """One row to ask of one model; with ``likelihood`` its expected text is scored and nothing is generated."""

    model: str
    row: Row
    likelihood: bool = False


@dataclass(frozen=True, slots=True)
class ServerClient:
    """A server with OpenAI's routes.

    Attributes:
        url: where it is, with or without ``/v1``.
        api_key: its key, if it wants one.
        concurrency: how many requests are under way at a time, so that one batch of the engine holds them all.
        max_tokens: where an answer is cut off.
        pauses: seconds before each new try of a request that failed for a reason that may pass.
    """

    url: str
    api_key: str | None = field(default=None, repr=False)
    concurrency: int = 64
    max_tokens: int = 256
    pauses: Sequence[float] = field(default_factory=lambda: PAUSES)

    def ask(
        self,
        questions: Sequence[Question],
        done: Callable[[int], None] = lambda _: None,
        keep: Callable[[int, Reply], None] = lambda _, __: None,
    ) -> tuple[Reply, ...]:
        """The replies, in the order of the questions. Greedy: the likeliest token each time.

        Args:
            questions: asked in this order, ``concurrency`` at a time; interleave models to have them in one batch.
            done: called after each reply with the number of replies so far.
            keep: called with each reply and the place of its question, as soon as it is there.

        Raises:
            NotFound: the server knows no such model.
            Conflict: it has that version and will not serve it.
            NotServeable: it cannot serve it whole.
            NotAllowed: the key is missing or wrong.
            UsageError: the server would not take a request, or its address is none.
            RateLimited: it wanted fewer requests in every try.
            Unavailable: no server there, or it failed a request in every try.
        """
        server = ModelServer(self.url, self.api_key, _LONGEST)
        replies: dict[int, Reply] = {}
        failures: list[LorarackError] = []

        async def worker(client: "openai.AsyncOpenAI", mine: Iterator[tuple[int, Question]]) -> None:
            for index, question in mine:
                try:
                    reply = await self._reply(server, client, question, failures)
                    keep(index, reply)
                except LorarackError as error:
                    failures.append(error)
                if failures:  # what is under way is kept, nothing more begins
                    return
                replies[index] = reply
                done(len(replies))

        async def ask_all() -> None:
            waiting = iter(enumerate(questions))
            async with server.async_client(self.concurrency) as client, asyncio.TaskGroup() as workers:
                for _ in range(min(self.concurrency, len(questions))):
                    workers.create_task(worker(client, waiting))

        asyncio.run(ask_all())
        if failures:
            raise failures[0]
        return tuple(replies[index] for index in range(len(questions)))

    async def _reply(
        self, server: ModelServer, client: "openai.AsyncOpenAI", question: Question, failures: Sequence[LorarackError]
    ) -> Reply:
        for pause in self.pauses:
            try:
                return await self._try(server, client, question)
            except (Unavailable, RateLimited) as error:
                if error.code == "not_openai" or failures:
                    raise
                await asyncio.sleep(pause)
        return await self._try(server, client, question)

    async def _try(self, server: ModelServer, client: "openai.AsyncOpenAI", question: Question) -> Reply:
        row = question.row
        with server.errors(f"{question.model}: "):
            if question.likelihood:
                return await reference_likelihood(server, client, question.model, row)
            response: Any
            streamed: Any = {"stream": True, "stream_options": {"include_usage": True}}
            began = time.perf_counter()
            if row.prompt is not None:
                response = await client.completions.with_raw_response.create(
                    model=question.model, prompt=row.prompt, max_tokens=self.max_tokens, temperature=0.0, **streamed
                )
            else:
                extra = row.options.to_json()
                if row.options.tools:  # the prompt still lists them; the answer stays text, which is what is scored
                    extra["tool_choice"] = "none"
                messages: Any = row.prompt_messages
                response = await client.chat.completions.with_raw_response.create(
                    model=question.model, messages=messages, max_completion_tokens=self.max_tokens, temperature=0.0,
                    extra_body=extra, **streamed,
                )  # fmt: skip
            return await read_stream(response, began, server)
