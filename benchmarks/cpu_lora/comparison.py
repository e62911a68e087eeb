"""Measuring servers in turns: round after round, and the order of the arms reversed in every other round."""

import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.cpu_lora.arms import Arm
from benchmarks.cpu_lora.load import Traffic, tokens_per_second


@dataclass(frozen=True)
class Side:
    """One arm, and the names under which it has what the traffic asks for."""

    arm: Arm
    models: tuple[str, ...]


def compare(traffic: Traffic, sides: Mapping[str, Side], rounds: int) -> dict[str, float]:
    """Tokens a second of each side: the median over ``rounds``, after one round that nobody counts."""
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for side in sides.values():
        warm = replace(traffic, models=side.models, prompt=16, output=2, requests=traffic.concurrency)
        tokens_per_second(side.arm.url, warm, seed=-1)
    for number in range(rounds):
        order: Sequence[str] = list(sides) if number % 2 == 0 else list(sides)[::-1]
        for name in order:
            side = sides[name]
            wait_for_quiet()
            taken[name].append(tokens_per_second(side.arm.url, replace(traffic, models=side.models), seed=number))
    for name, values in taken.items():
        print(f"  {traffic.name}: {name} " + " ".join(f"{value:.1f}" for value in values), file=sys.stderr, flush=True)
    return {name: statistics.median(values) for name, values in taken.items()}


def wait_for_quiet(busy: float = 0.1, patience: float = 10) -> None:
    """Wait until the machine has nothing to do, ``patience`` seconds at most.

    vLLM's worker process looks for work without a pause for a second or more after its last request: whichever server is
    measured next would have a core less.
    """
    end = time.monotonic() + patience
    before = _processor_time()
    while time.monotonic() < end:
        time.sleep(0.25)
        now = _processor_time()
        if now[0] - before[0] <= busy * (now[1] - before[1]):
            return
        before = now


def _processor_time() -> tuple[int, int]:
    """Of all cores since the machine began, in ticks: busy ones, and all."""
    user, nice, system, idle, waiting, *interrupts = map(
        int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    )
    busy = user + nice + system + sum(interrupts)
    return busy, busy + idle + waiting
