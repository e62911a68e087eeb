"""An adapter that is not in the engine: what it costs itself, and what it costs the streams beside it.

Each server has two places and eight adapters, so an adapter that was not asked for last is cold. It has been loaded before: its
files are in the local cache, and it has been probed.
"""

import asyncio
import statistics
from collections.abc import Sequence

import httpx
from benchmarks.cpu_lora.arms import Arm
from benchmarks.report import Row
from benchmarks.serving.place import Place, lora_flags
from benchmarks.serving.stream import Answer, ask, prompts, session
from benchmarks.serving.turns import ratio_row

_PROMPT, _OUTPUT = 128, 4
_STREAMS, _STREAMED = 2, 900
_COLD = 6
_STALL = "pause of warm streams for a cold load beyond that for a warm request, p50"


def cold(place: Place, rounds: int) -> list[Row]:
    """Our server: time to first token on an idle server, then the longest pause of streams beside a load."""
    with place.ours("ours", *lora_flags(2, 2)) as arm:
        first, stall = _measure(arm, place.names, rounds)
    return [
        ratio_row(f"cold adapter of rank 16, {_PROMPT} in, idle, p50 TTFT: cold / warm", first, "ms", at_most=1.10),
        Row(_STALL, f"{stall:.1f} ms", goal="≤ 2 ms", met=stall <= 2),
    ]


def cold_plain(place: Place, rounds: int) -> list[Row]:
    """The same of plain vLLM."""
    with place.plain("plain, LoRA on", *lora_flags(2, 2), lora=True) as arm:
        first, stall = _measure(arm, tuple(path.name for path in place.adapters), rounds)
    return [
        ratio_row(f"plain vLLM: cold adapter of rank 16, {_PROMPT} in, idle, p50 TTFT: cold / warm", first, "ms"),
        Row(f"plain vLLM: {_STALL}", f"{stall:.1f} ms"),
    ]


def _measure(arm: Arm, names: Sequence[str], rounds: int) -> tuple[tuple[float, float], float]:
    async def measure() -> tuple[tuple[float, float], float]:
        async with session(arm.url) as client:
            for name in names:
                await ask(client, name, prompts(1, _PROMPT, 0)[0], 1)
            first = await _idle(client, names, rounds)
            return first, await _beside_streams(client, names, rounds)

    return asyncio.run(measure())


async def _idle(client: httpx.AsyncClient, names: Sequence[str], rounds: int) -> tuple[float, float]:
    cold_times, warm_times = [], []
    for number in range(rounds * len(names)):
        prompt, again = prompts(2, _PROMPT, 100 + number)
        name = names[number % len(names)]
        cold_times.append((await ask(client, name, prompt, _OUTPUT)).first_token * 1e3)
        warm_times.append((await ask(client, name, again, _OUTPUT)).first_token * 1e3)
    return statistics.median(cold_times), statistics.median(warm_times)


async def _beside_streams(client: httpx.AsyncClient, names: Sequence[str], rounds: int) -> float:
    """Milliseconds that the longest pause of the streams is longer where the request beside them is cold.

    The streams use one place, cold and warm requests take turns with the other.
    """
    longest: dict[str, list[float]] = {"cold": [], "warm": []}
    for number in range(rounds):
        streams = [
            asyncio.create_task(ask(client, names[0], prompt, _STREAMED))
            for prompt in prompts(_STREAMS, 16, 500 + number)
        ]
        await asyncio.sleep(1)
        spans: list[tuple[str, float, float]] = []
        for turn in range(_COLD):
            name = names[1 + (number * _COLD + turn) % (len(names) - 1)]
            for kind, prompt in zip(("cold", "warm"), prompts(2, 16, 900 + number * 100 + turn), strict=True):
                await asyncio.sleep(0.3)
                answer = await ask(client, name, prompt, 2)
                spans.append((kind, answer.sent, answer.arrivals[-1]))
        answers = await asyncio.gather(*streams)
        for kind, begin, end in spans:
            longest[kind].append(1e3 * _longest_pause(answers, begin, end))
    return statistics.median(longest["cold"]) - statistics.median(longest["warm"])


def _longest_pause(answers: Sequence[Answer], begin: float, end: float) -> float:
    """Of any stream, between two parts of its answer, where the second came after ``begin`` and the first before ``end``."""
    pauses = [gap for answer in answers for now, gap in answer.gaps if now > begin and now - gap < end]
    return max(pauses, default=0.0)
