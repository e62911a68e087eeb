"""What looking for numbers that are not finite adds to a decode step: the same operations at SmolLM2-135M's sizes, on one core.

``python -m benchmarks.cpu_lora.finite`` prints microseconds a step of 8 rows, the median of 300.
"""

import statistics
import time
from collections.abc import Callable

import torch

ROWS, LAYERS, HEADS, HEAD, HIDDEN, VOCABULARY = 8, 30, 3, 64, 576, 49152


def _median(work: Callable[[], object]) -> float:
    times = []
    for _ in range(300):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return statistics.median(times) * 1e6


def main() -> None:
    """Print each part and the whole."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    key, value = (torch.randn(ROWS, HEADS, HEAD).bfloat16() for _ in range(2))
    hidden, logits = torch.randn(ROWS, HIDDEN).bfloat16(), torch.randn(ROWS, VOCABULARY).bfloat16()

    def clean() -> None:
        for _ in range(LAYERS):
            torch.nan_to_num(key)
            torch.nan_to_num(value)

    parts = {
        "keys and values": _median(clean),
        "hidden states": _median(lambda: bool(torch.isfinite(hidden).all(dim=-1).all())),
        "logits": _median(lambda: (logits.amax(dim=-1) < torch.inf).tolist()),
    }
    for name, microseconds in (*parts.items(), ("together", sum(parts.values()))):
        print(f"{name}: {microseconds:.0f} µs")


if __name__ == "__main__":
    main()
