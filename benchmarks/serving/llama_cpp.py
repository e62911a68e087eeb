"""Our server beside llama.cpp's: the same base and adapters as GGUF files in bfloat16, one adapter a request.

``LLAMA_CPP`` names a folder of llama.cpp's sources with `llama-server` built in ``build/bin``; its scripts convert the files.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.cpu_lora import arms
from benchmarks.cpu_lora.arms import Arm
from benchmarks.report import Row
from benchmarks.serving.place import FEW, RANK, Place, lora_flags
from benchmarks.serving.stream import Load, prompts, run, session
from benchmarks.serving.turns import medians, ratio_row

_PROMPT, _OUTPUT = 32, 32
_LOADS = {
    "one client, one adapter": (1, 1, 4),
    "8 clients, one adapter": (1, 8, 16),
    "8 clients, 8 adapters": (8, 8, 16),
}


def llama_cpp(place: Place, rounds: int) -> list[Row]:
    """Tokens a second of both, for each load: adapters, clients, requests."""
    if not (sources := os.environ.get("LLAMA_CPP")):
        return [Row("llama.cpp's server", "", note="not measured: name its folder in LLAMA_CPP")]
    our, theirs = place.ours("ours", *lora_flags(FEW, 32)), _arm(Path(sources), place)
    rows = []
    with arms.together(our, theirs):
        for name, (adapters, clients, requests) in _LOADS.items():
            found = medians(
                f"tokens/s, {name}",
                {
                    our.name: _ours(our.url, place, adapters, clients, requests),
                    theirs.name: _theirs(theirs.url, adapters, clients, requests),
                },
                rounds,
            )
            what = f"{name} of rank {RANK}, {_PROMPT} in / {_OUTPUT} out: ours / llama.cpp"
            rows.append(ratio_row(what, (found[our.name], found[theirs.name]), "tokens/s"))
    return rows


def _ours(url: str, place: Place, adapters: int, clients: int, requests: int) -> Callable[[int], float]:
    models = [place.names[number % adapters] for number in range(requests)]
    return lambda seed: run(url, Load(models, _PROMPT, _OUTPUT, clients), seed).tokens_per_second


def _theirs(url: str, adapters: int, clients: int, requests: int) -> Callable[[int], float]:
    """The adapters are numbered in the order of the command line; one that a request does not name is not applied."""

    async def send(seed: int) -> float:
        waiting = list(enumerate(prompts(requests, _PROMPT, seed)))[::-1]
        loop = asyncio.get_running_loop()
        async with session(url) as client:

            async def ask() -> None:
                while waiting:
                    number, prompt = waiting.pop()
                    body: dict[str, Any] = {
                        "prompt": prompt, "n_predict": _OUTPUT, "ignore_eos": True, "temperature": 0, "cache_prompt": False,
                        "lora": [{"id": number % adapters, "scale": 1.0}],
                    }  # fmt: skip
                    response = await client.post("/completion", json=body)
                    response.raise_for_status()
                    if (made := response.json()["tokens_predicted"]) != _OUTPUT:
                        raise RuntimeError(f"{_OUTPUT} tokens were asked for and {made} came")

            begun = loop.time()
            await asyncio.gather(*(ask() for _ in range(clients)))
            return requests * _OUTPUT / (loop.time() - begun)

    return lambda seed: asyncio.run(send(seed))


def _arm(sources: Path, place: Place) -> Arm:
    base = _converted(sources / "convert_hf_to_gguf.py", place.base, place.folder / "base.gguf")
    more = ("--base", str(place.base))
    adapters = [
        _converted(sources / "convert_lora_to_gguf.py", path, place.folder / f"{path.name}.gguf", *more)
        for path in place.adapters
    ]
    threads = str(len(os.sched_getaffinity(0)))
    command = [
        str(sources / "build" / "bin" / "llama-server"), "--model", str(base), "--lora", ",".join(map(str, adapters)),
        "--lora-init-without-apply", "--threads", threads, "--threads-batch", threads, "--parallel", str(FEW),
        "--ctx-size", str(FEW * 1024), "--cache-ram", "0", "--offline",
    ]  # fmt: skip
    return Arm("llama.cpp", command, place.logs)


def _converted(script: Path, given: Path, made: Path, *more: str) -> Path:
    command = [sys.executable, str(script), str(given), "--outtype", "bf16", "--outfile", str(made), *more]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    return made
