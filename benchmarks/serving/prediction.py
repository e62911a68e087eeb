"""What `lorarack plan` says of a server's speed, next to what that server does.

Tokens a second are those of clients that do not stream: to read a stream takes time of the processors that the model computes on.
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.cpu_lora import arms
from benchmarks.cpu_lora.load import Traffic, tokens_per_second
from benchmarks.report import Row
from benchmarks.serving.place import FEW, Place, lora_flags
from benchmarks.serving.stream import Load, run

_WITHIN = 0.10


def prediction(place: Place, rounds: int) -> list[Row]:
    """Each forecast of `plan`: time to first token on an idle server, and tokens a second."""
    flags = (*arms.SAME, *lora_flags(FEW, 32))
    rows = []
    with place.ours("ours", *lora_flags(FEW, 32)) as arm:
        for said in _plan(place, flags):
            names = [arms.BASE] if said["rank"] is None else place.names
            first, rate = _measure(arm.url, said, names, rounds)
            who = "base" if said["rank"] is None else f"rank {said['rank']}"
            what = f"plan, {said['requests']} at a time, {who}, {said['prompt']} in / {said['output']} out"
            rows.append(_row(f"{what}: tokens/s predicted / measured", said["tokens_per_second"], rate, "tokens/s"))
            if said["requests"] == 1:
                rows.append(_row(f"{what}: TTFT predicted / measured", said["first_token"] * 1e3, first * 1e3, "ms"))
    return rows


def _plan(place: Place, flags: Sequence[str]) -> list[dict[str, Any]]:
    """While the server runs, so that it has measured itself if nobody had before."""
    script = str(Path(sys.executable).with_name("lorarack"))
    done = subprocess.run(
        [script, "plan", arms.BASE, "--registry", str(place.home), "--json", *flags],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env=dict(os.environ),
    )
    forecasts: list[dict[str, Any]] = json.loads(done.stdout)["speed"]
    return forecasts


def _measure(url: str, said: dict[str, Any], names: Sequence[str], rounds: int) -> tuple[float, float]:
    clients, prompt, output = said["requests"], said["prompt"], said["output"]
    traffic = Traffic("", prompt, output, 2 * clients, clients, tuple(names))
    first, rates = [], []
    for seed in range(rounds + 1):
        found = tokens_per_second(url, traffic, 7000 + seed)
        if seed:  # the first one loads
            rates.append(found)
            alone = run(url, Load([names[0]] * 3, prompt, 1), 8000 + seed)
            first.append(statistics.median(answer.first_token for answer in alone.answers))
    return statistics.median(first), statistics.median(rates)


def _row(what: str, said: float, found: float, unit: str) -> Row:
    ratio = said / found
    return Row(what, f"{said:.3g} {unit}", f"{found:.3g} {unit}", ratio, "0.9–1.1", abs(ratio - 1) <= _WITHIN)
