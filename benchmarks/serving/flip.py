"""A moved alias: how long until a request gets the new version, which is loaded already."""

import asyncio
import statistics
import time

import httpx
from benchmarks.cpu_lora import arms
from benchmarks.report import Row
from benchmarks.serving.place import FEW, Place, lora_flags
from benchmarks.serving.stream import Answer, ask, prompts, session

from lorarack.registry import Registry, open_registry

_FLIPS = 12
#: Seconds between requests that look for the new version.
_EVERY = 0.002


def flip(place: Place, rounds: int) -> list[Row]:
    """From the move's return, in another process than the server's, to the arrival of the first request that gets the new one."""
    with open_registry(place.home) as registry:
        registry.publish(place.adapters[1], place.adapters[0].name, base=arms.BASE)
        name = place.adapters[0].name
        registry.set_alias(name, "prod", 1)
        registry.set_alias(name, "other", 2)  # keeps it warm
        registry.set_alias(name, "this", 1)
        with place.ours("ours", *lora_flags(FEW, 32)) as arm:
            taken = asyncio.run(_flips(arm.url, registry, name, rounds * _FLIPS))
    found = statistics.median(taken) * 1e3
    note = f"{min(taken) * 1e3:.1f} to {max(taken) * 1e3:.1f} ms in {len(taken)} moves"
    what = "alias moved to a warm version, until requests get it, p50"
    return [Row(what, f"{found:.1f} ms", goal="≤ 5 ms", met=found <= 5, note=note)]


async def _flips(url: str, registry: Registry, name: str, count: int) -> list[float]:
    taken = []
    async with session(url) as client:
        await ask(client, f"{name}@prod", prompts(1, 4, 0)[0], 1)
        for number in range(count):
            version = 2 - number % 2
            await asyncio.sleep(0.3 + 0.037 * (number % 8))  # at no fixed place in any interval of the server's
            await asyncio.to_thread(registry.set_alias, name, "prod", version)
            taken.append(await _until(client, f"{name}@prod", f"{name}@{version}"))
    return taken


async def _until(client: httpx.AsyncClient, reference: str, version: str) -> float:
    """Seconds from now until the first request is sent that ``version`` answers. One is sent every few milliseconds."""
    began, asked = time.perf_counter(), list[asyncio.Task[Answer]]()

    def answered() -> list[float]:
        return [task.result().sent for task in asked if task.done() and task.result().version == version]

    while not answered():
        asked.append(asyncio.create_task(ask(client, reference, prompts(1, 4, len(asked))[0], 1)))
        await asyncio.sleep(_EVERY)
    await asyncio.gather(*asked)
    return max(0.0, min(answered()) - began)
