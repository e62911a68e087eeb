"""Measures an engine that nobody asks yet: prompts of some lengths, and steps of some numbers of requests."""

import asyncio
import logging
import statistics
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import psutil
from vllm import SamplingParams

from lorarack.registry.errors import EngineError
from lorarack.server.adapter_image import Layout, Packer
from lorarack.server.engine_speed import (
    PROMPTS,
    REQUESTS,
    EngineSpeed,
    measured_at,
    read_speed,
    speed_file,
    write_speed,
)
from lorarack.server.settings import ServingSettings
from lorarack.server.vllm.engine import VllmEngine
from lorarack.server.vllm_version import installed_vllm

log = logging.getLogger(__name__)

#: Seconds after which a start goes on without it.
PATIENCE = 60.0
_TIMES, _STEPS, _SHORT, _RANK = 4, 24, 16, 16
#: Rounds that do not count: the first prompts of a length take up to twice as long, while libraries prepare for it.
_FIRST = 3
#: Seconds after which a large model's prompts are asked no further round; one counts at least.
_ENOUGH = 10.0
#: Seconds between two prompts: an engine begins one step more than a request needs, and the next one would wait for it.
_IDLE = 0.03
#: Of the adapter that is measured; versions have small numbers.
_NAME, _ENGINE_ID = "lorarack-speed", 2**31 - 1
#: Spread tokens over the vocabulary, so that no two prompts begin alike and the prefix cache has nothing to give.
_STRIDE = 7919

Adapter: TypeAlias = Callable[[int], AbstractAsyncContextManager[Any]]


async def keep_speed(engine_client: Any, config: Any, adapter: Adapter, file: Path) -> None:
    """Measure the engine unless ``file`` says how fast it is where it has the machine to itself.

    ``adapter`` loads one of a rank, gives what requests name it by, and unloads it.
    What goes wrong is logged; no start waits longer than `PATIENCE`.
    """
    known = read_speed(file)
    if known is not None and known.holds:
        return
    log.info("Measuring the engine's speed for 'lorarack plan', until it was measured once on a quiet machine.")
    try:
        async with asyncio.timeout(PATIENCE):
            speed = await measure(engine_client, config, adapter)
        if known is None or speed.busy <= known.busy:
            write_speed(file, speed)
    except Exception as error:  # noqa: BLE001 - a forecast is not worth a start
        log.warning("The engine's speed was not measured: %s: %s", type(error).__name__, error)


class OtherPrograms:
    """What share of the processors other programs than this one and its children have, from now on."""

    def __init__(self) -> None:
        self._began = _processor_seconds()

    @property
    def share(self) -> float:
        """From 0 to 1."""
        (all_before, idle_before, mine_before), (all_now, idle_now, mine_now) = self._began, _processor_seconds()
        passed = max(all_now - all_before, 1e-9)
        return min(1.0, max(0.0, 1 - (idle_now - idle_before + mine_now - mine_before) / passed))


def _processor_seconds() -> tuple[float, float, float]:
    """Of all processors: of all kinds, idle ones, and those of this process and its children."""
    times, me = psutil.cpu_times(), psutil.Process()
    mine = 0.0
    for process in (me, *me.children(recursive=True)):
        with suppress(psutil.Error):
            mine += sum(process.cpu_times()[:2])
    # Guests' time is in their hosts' already.
    every = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
    return every, times.idle + getattr(times, "iowait", 0.0), mine


async def measure(engine_client: Any, config: Any, adapter: Adapter) -> EngineSpeed:
    """Prompts one by one, to the base and to an adapter, then requests to the base at the same time."""
    others = OtherPrograms()
    model, rows = config.model_config, config.scheduler_config.max_num_seqs
    vocabulary, most = model.get_vocab_size(), model.max_model_len
    generate = engine_client.generate
    counter = iter(range(10**9))

    async def arrivals(length: int, tokens: int, lora: Any = None) -> list[float]:
        params = SamplingParams(max_tokens=tokens, temperature=0.0, ignore_eos=True)
        first = next(counter)
        prompt = {"prompt_token_ids": [((first * 31 + place + 1) * _STRIDE) % vocabulary for place in range(length)]}
        name = f"lorarack-speed-{uuid.uuid4().hex}"
        begun, answer = time.perf_counter(), generate(prompt, params, name, lora_request=lora)
        return [begun, *[time.perf_counter() async for _ in answer]]

    rank, lengths = min(_RANK, config.lora_config.max_lora_rank), measured_at(PROMPTS, most - 1)
    async with adapter(rank) as loaded:
        # All by turns: a machine is slow for some tenths of a second at a time.
        first: dict[tuple[int, bool], list[float]] = {
            (length, lora): [] for length in lengths for lora in (False, True)
        }
        started = time.perf_counter()
        for _ in range(_FIRST + _TIMES):
            for (length, lora), taken in first.items():
                await asyncio.sleep(_IDLE)
                begun, end = await arrivals(length, 1, loaded if lora else None)
                taken.append(end - begun)
            if time.perf_counter() - started > _ENOUGH:
                break
    decode = []
    short, steps = min(_SHORT, most // 4), min(_STEPS, most // 4)
    for requests in measured_at(REQUESTS, rows):
        all_times = await asyncio.gather(*(arrivals(short, steps) for _ in range(requests)))
        begun = max(times[1] for times in all_times)
        gaps = [now - before for times in all_times for before, now in pairwise(times[1:]) if before >= begun]
        decode.append((requests, statistics.median(gaps)))
    base, adapted = (tuple((length, _settled(first[length, lora])) for length in lengths) for lora in (False, True))
    return EngineSpeed(
        prefill=base, adapter_rank=rank, adapter_prefill=adapted, decode=tuple(decode), busy=others.share
    )


def _settled(seconds: Sequence[float]) -> float:
    """The median of the rounds that count."""
    return statistics.median(seconds[min(_FIRST, len(seconds) - 1) :])


async def keep_engine_speed(
    engine: VllmEngine, engine_client: Any, state: Any, args: Any, layout: Layout, settings: ServingSettings
) -> None:
    """`keep_speed` for the engine of an API process, before requests come."""
    vllm = installed_vllm()
    try:
        file = speed_file(settings.fingerprint, vllm.version if vllm else "", settings.cpu_lora, args)
    except EngineError as error:
        log.info("The engine's speed is not kept: %s", error.message)
        return

    @asynccontextmanager
    async def adapter(rank: int) -> AsyncIterator[Any]:
        with tempfile.TemporaryFile() as zeros:
            Packer(layout).write_zeros(rank, zeros)
            zeros.flush()
            await engine.load(_NAME, _NAME, _ENGINE_ID, zeros)
        try:
            yield state.openai_serving_models.lora_requests[_NAME]
        finally:
            await engine.unload(_ENGINE_ID)

    await keep_speed(engine_client, state.vllm_config, adapter, file)
