"""Measures an engine that nobody asks yet: prompts of some lengths, and steps of some numbers of requests."""

import asyncio
import logging
import statistics
import time
import uuid
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
from vllm import SamplingParams

from lorarack.registry.errors import EngineError
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
from lorarack.server.vllm_version import installed_vllm

log = logging.getLogger(__name__)

#: Seconds after which a start goes on without it.
PATIENCE = 60.0
_TIMES, _STEPS, _SHORT = 7, 24, 16
#: Spread tokens over the vocabulary, so that no two prompts begin alike and the prefix cache has nothing to give.
_STRIDE = 7919


async def keep_speed(engine_client: Any, config: Any, file: Path) -> None:
    """Measure the engine unless ``file`` says how fast it is where it has the machine to itself.

    What goes wrong is logged; no start waits longer than `PATIENCE`.
    """
    known = read_speed(file)
    if known is not None and known.holds:
        return
    log.info("Measuring the engine's speed for 'lorarack plan', until it was measured once on a quiet machine.")
    try:
        async with asyncio.timeout(PATIENCE):
            speed = await measure(engine_client, config)
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


async def measure(engine_client: Any, config: Any) -> EngineSpeed:
    """Prompts one by one, then requests at the same time."""
    others = OtherPrograms()
    model, rows = config.model_config, config.scheduler_config.max_num_seqs
    vocabulary, most = model.get_vocab_size(), model.max_model_len
    generate = engine_client.generate
    counter = iter(range(10**9))

    async def arrivals(length: int, tokens: int) -> list[float]:
        params = SamplingParams(max_tokens=tokens, temperature=0.0, ignore_eos=True, detokenize=False)
        first = next(counter)
        prompt = {"prompt_token_ids": [((first * 31 + place + 1) * _STRIDE) % vocabulary for place in range(length)]}
        begun, answer = time.perf_counter(), generate(prompt, params, f"lorarack-speed-{uuid.uuid4().hex}")
        return [begun, *[time.perf_counter() async for _ in answer]]

    # All lengths by turns: a machine is slow for some tenths of a second at a time.
    first: dict[int, list[float]] = {length: [] for length in measured_at(PROMPTS, most - 1)}
    for _ in range(_TIMES):
        for length, taken in first.items():
            begun, end = await arrivals(length, 1)
            taken.append(end - begun)
    decode = []
    short, steps = min(_SHORT, most // 4), min(_STEPS, most // 4)
    for requests in measured_at(REQUESTS, rows):
        all_times = await asyncio.gather(*(arrivals(short, steps) for _ in range(requests)))
        begun = max(times[1] for times in all_times)
        gaps = [now - before for times in all_times for before, now in pairwise(times[1:]) if before >= begun]
        decode.append((requests, statistics.median(gaps)))
    prefill = tuple((length, statistics.median(taken)) for length, taken in first.items())
    return EngineSpeed(prefill=prefill, decode=tuple(decode), busy=others.share)


async def keep_engine_speed(engine_client: Any, state: Any, args: Any, settings: ServingSettings) -> None:
    """`keep_speed` for the engine of an API process."""
    vllm = installed_vllm()
    try:
        file = speed_file(settings.fingerprint, vllm.version if vllm else "", settings.cpu_lora, args)
    except EngineError as error:
        log.info("The engine's speed is not kept: %s", error.message)
        return
    await keep_speed(engine_client, state.vllm_config, file)
