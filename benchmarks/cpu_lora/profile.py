"""Where a step's time goes: ``python -m benchmarks.cpu_lora.profile``. One engine in this process, the same as the server's.

Prints a table for a decode step of 8 rows (base only, one adapter, 8 adapters of rank 16) and for a step that takes in 8 prompts
of 128 tokens; beside the kernel's time stands the least that its bytes and its multiplications would take.
"""

import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.bench_cpu_lora import make_place
from benchmarks.cpu_lora.adapters import shapes
from benchmarks.cpu_lora.in_process import Engine, with_threads
from benchmarks.cpu_lora.rows import Place

#: Operations by what they are for; what matches none is "other torch operations".
_PARTS = {
    "LoRA": ("lorarack::",),
    "linear layers and lm_head": ("onednn_mm", "linear", "addmm", "aten::mm", "weight_packed"),
    "attention": ("attn", "attention", "reshape_and_cache"),
    "fused elementwise (inductor)": ("cpp_fused",),
    "sampling": ("argmax", "sort", "softmax", "topk", "gather", "exponential"),
}
_STEPS, _ROUNDS, _DECODE = 24, 5, 32
#: Name, adapters in the batch, tokens of each of its 8 prompts.
_CASES = (
    ("decode, base only", 0, 32),
    ("decode, one adapter", 1, 32),
    ("decode, 8 adapters", 8, 32),
    ("prefill, 8 adapters", 8, 128),
)


def main() -> None:
    """Measure and print."""
    with_threads("benchmarks.cpu_lora.profile")
    with TemporaryDirectory(prefix="lorarack-bench-") as folder:
        place = make_place(Path(folder))
        engine = Engine(place.base, Path(folder), slots=8, rank=16, rows=16)
        steps = _steps(engine, place)
        for name, adapters, prompt in _CASES:
            rows = 8 * (1 if prompt == _DECODE else prompt)
            floor = _floor(shapes(place.base), place, adapters, rows)
            _print(name, statistics.median(steps[name]), _parts(engine, place, adapters, prompt), floor)


def _steps(engine: Engine, place: Place) -> dict[str, list[float]]:
    """Seconds of single steps of each case, without the profiler; the cases take turns."""
    taken: dict[str, list[float]] = {name: [] for name, *_ in _CASES}
    for _ in range(_ROUNDS):
        for name, adapters, prompt in _CASES:
            taken[name] += [engine.step() for _ in range(_ready(engine, place, adapters, prompt))]
    return taken


def _ready(engine: Engine, place: Place, adapters: int, prompt: int) -> int:
    """Fill the engine for a case; how many steps of it come next."""
    decoding = prompt == _DECODE
    engine.fill(place.adapters[16][:adapters], 8, prompt, _STEPS + 4 if decoding else 2)
    if decoding:
        engine.step()
    return _STEPS if decoding else 1


def _parts(engine: Engine, place: Place, adapters: int, prompt: int) -> dict[str, float]:
    """Seconds a step of each part, by torch's profiler."""
    import torch

    count = _ready(engine, place, adapters, prompt)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        for _ in range(count):
            engine.step()
    parts: dict[str, float] = {}
    for event in profile.key_averages():
        seconds = event.self_cpu_time_total / 1e6 / count
        part = next(
            (p for p, keys in _PARTS.items() if any(key in event.key for key in keys)), "other torch operations"
        )
        parts[part] = parts.get(part, 0.0) + seconds
    return parts


def _floor(sizes: dict[str, tuple[int, int]], place: Place, adapters: int, rows: int) -> tuple[float, float]:
    """Bytes of the adapters' weights that a step must read, and multiply-adds that LoRA takes for ``rows`` rows."""
    blocks = json.loads((place.base / "config.json").read_text())["num_hidden_layers"]
    weights = 16 * blocks * sum(outputs + inputs for outputs, inputs in sizes.values())
    return 2.0 * weights * adapters, float(weights * rows) if adapters else 0.0


def _print(name: str, step: float, parts: dict[str, float], floor: tuple[float, float]) -> None:
    print(f"\n{name}: {step * 1e3:.1f} ms a step")
    known = sum(parts.values())
    for part, seconds in sorted(parts.items(), key=lambda item: -item[1]):
        print(f"  {part:32s} {seconds * 1e3:7.2f} ms")
    print(f"  {'Python and the scheduler':32s} {max(step - known, 0) * 1e3:7.2f} ms (step less all operations)")
    if floor[0]:
        rate = _bandwidth()
        print(
            f"  LoRA's floor: {floor[0] / 1e6:.0f} MB at {rate / 1e9:.0f} GB/s = {floor[0] / rate * 1e3:.2f} ms; "
            f"{floor[1] / 1e9:.2f} G multiply-adds"
        )


def _bandwidth() -> float:
    """Bytes a second that all cores together read from memory."""
    import torch

    block = torch.ones(64 << 20, dtype=torch.int64)
    taken: Sequence[float] = [_timed(block) for _ in range(5)]
    size: int = block.nbytes
    return size / min(taken)


def _timed(block: Any) -> float:
    begin = time.perf_counter()
    block.sum()
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
