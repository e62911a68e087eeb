"""The base model through our server, next to plain vLLM without LoRA: what the key check, the router and the queue cost."""

import statistics
from collections.abc import Callable

from benchmarks.cpu_lora import arms
from benchmarks.report import Row
from benchmarks.serving.place import FEW, Place, lora_flags
from benchmarks.serving.stream import Load, run
from benchmarks.serving.turns import medians, ratio_row

_ALONE = Load([arms.BASE] * 12, 128, 2)
_TOGETHER = Load([arms.BASE] * 32, 32, 32, clients=8)


def overhead(place: Place, rounds: int) -> list[Row]:
    """Time to first token of one client, and requests a second of eight."""
    our = place.ours("ours", *lora_flags(FEW, 32))
    off = place.plain("plain, LoRA off")
    with arms.together(our, off):
        first = medians("TTFT, ms", {arm.name: _first_token(arm.url) for arm in (our, off)}, rounds)
        rate = medians("requests/s", {arm.name: _rate(arm.url) for arm in (our, off)}, rounds)
    return [
        ratio_row(
            "base model, 128 in, p50 TTFT: ours / LoRA off",
            (first[our.name], first[off.name]),
            "ms",
            at_most=1.05,
        ),
        ratio_row(
            "base model, 32 in / 32 out, 8 clients: ours / LoRA off",
            (rate[our.name], rate[off.name]),
            "requests/s",
            at_least=0.97,
        ),
    ]


def _first_token(url: str) -> Callable[[int], float]:
    return lambda seed: 1e3 * statistics.median(answer.first_token for answer in run(url, _ALONE, seed).answers)


def _rate(url: str) -> Callable[[int], float]:
    return lambda seed: run(url, _TOGETHER, seed).requests_per_second
