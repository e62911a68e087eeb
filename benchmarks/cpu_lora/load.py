"""Requests to a running server, a fixed number at a time, and how many tokens a second came back."""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

import httpx


@dataclass(frozen=True)
class Traffic:
    """``concurrency`` clients that ask one after the other, each for the next of ``models``; lengths in tokens."""

    name: str
    prompt: int
    output: int
    requests: int = 16
    concurrency: int = 8
    models: tuple[str, ...] = ()


def tokens_per_second(url: str, traffic: Traffic, seed: int) -> float:
    """Generated tokens over the seconds from the first request to the last answer. Prompts are random and never repeat."""
    source = random.Random(seed)
    prompts = [[source.randrange(1000, 40000) for _ in range(traffic.prompt)] for _ in range(traffic.requests)]
    return asyncio.run(_send(url, traffic, prompts))


async def _send(url: str, traffic: Traffic, prompts: Sequence[Sequence[int]]) -> float:
    waiting = list(enumerate(prompts))[::-1]
    async with httpx.AsyncClient(base_url=url, timeout=600, limits=httpx.Limits(max_connections=None)) as client:

        async def ask() -> None:
            while waiting:
                number, prompt = waiting.pop()
                body = {
                    "model": traffic.models[number % len(traffic.models)],
                    "prompt": prompt,
                    "max_tokens": traffic.output,
                    "ignore_eos": True,
                    "temperature": 0,
                }
                response = await client.post("/v1/completions", json=body)
                response.raise_for_status()
                made = response.json()["usage"]["completion_tokens"]
                if made != traffic.output:
                    raise RuntimeError(f"{traffic.output} tokens were asked for and {made} came")

        begin = time.perf_counter()
        await asyncio.gather(*(ask() for _ in range(traffic.concurrency)))
        return traffic.output * traffic.requests / (time.perf_counter() - begin)
