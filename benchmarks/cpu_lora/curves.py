"""Throughput against the number of adapters and against their rank: ``python -m benchmarks.cpu_lora.curves``.

Prints two tables and the two charts of docs/cpu-lora.md. One engine in this process; the points take turns, round after round.
"""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.bench_cpu_lora import find_base
from benchmarks.cpu_lora.adapters import make_adapter
from benchmarks.cpu_lora.in_process import Engine, with_threads

SIZES = (1, 2, 4, 8, 16, 32, 64)
_STEPS, _ROUNDS, _MANY, _FEW, _RANK = 12, 5, 64, 8, 16


def main() -> None:
    """Measure and print."""
    with_threads("benchmarks.cpu_lora.curves")
    base = find_base()
    with TemporaryDirectory(prefix="lorarack-bench-") as name:
        folder = Path(name)
        many = [make_adapter(base, folder / f"n{n}", _RANK, n) for n in range(_MANY)]
        ranks = {r: [make_adapter(base, folder / f"r{r}-{n}", r, 1000 * r + n) for n in range(_FEW)] for r in SIZES}
        engine = Engine(base, folder, slots=_MANY, rank=64, rows=_MANY)
        by_count = _measure(engine, {0: (), **{n: many[:n] for n in SIZES}}, _MANY)
        by_rank = _measure(engine, {0: (), **ranks}, _FEW)
    _print(f"{_MANY} requests at a time, adapters of rank {_RANK}", "adapters", by_count)
    _print(f"{_FEW} requests at a time, each with an adapter of its own", "rank", by_rank)


def _measure(engine: Engine, points: Mapping[int, Sequence[Path]], rows: int) -> dict[int, float]:
    """Tokens a second of each point, while decoding."""
    taken: dict[int, list[float]] = {point: [] for point in points}
    for number in range(_ROUNDS):
        order = list(points) if number % 2 == 0 else list(points)[::-1]
        for point in order:
            engine.fill(points[point], rows, 16, _STEPS + 4)
            engine.step()
            taken[point] += [engine.step() for _ in range(_STEPS)]
    return {point: rows / statistics.median(seconds) for point, seconds in taken.items()}


def _print(title: str, axis: str, found: Mapping[int, float]) -> None:
    off = found[0]
    print(f"\n{title}\n\n| {axis} | tokens/s | / base only |\n| --- | --- | --- |")
    for point, rate in found.items():
        print(f"| {point or 'base only'} | {rate:.0f} | {rate / off:.2f} |")
    values = [found[point] for point in SIZES]
    print(
        f'\n```mermaid\nxychart-beta\n  title "{title}"\n  x-axis "{axis}" [{", ".join(map(str, SIZES))}]\n'
        f'  y-axis "tokens/s" 0 --> {max([off, *values]) * 1.1:.0f}\n'
        f"  line [{', '.join(f'{value:.0f}' for value in values)}]\n"
        f"  line [{', '.join(f'{off:.0f}' for _ in values)}]\n```"
    )


if __name__ == "__main__":
    main()
