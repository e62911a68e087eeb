"""Measuring servers in turns: round after round, and the order of the arms reversed in every other round."""

import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

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
            taken[name].append(tokens_per_second(side.arm.url, replace(traffic, models=side.models), seed=number))
    for name, values in taken.items():
        print(f"  {traffic.name}: {name} " + " ".join(f"{value:.1f}" for value in values), file=sys.stderr, flush=True)
    return {name: statistics.median(values) for name, values in taken.items()}
