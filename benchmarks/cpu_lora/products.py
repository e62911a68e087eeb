"""The kernel's tiles next to a library's products, for the rows of prompts: ``python -m benchmarks.cpu_lora.products``.

Each segment of rows has an adapter of its own. The library's way is two products for a segment, ``y += (x A^T) B^T``, in bfloat16
with torch; for layers of several slices also with all their A in one. Prints milliseconds for the 30 blocks of SmolLM2-135M, the
base's own layers between them but not counted.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from benchmarks.cpu_lora.in_process import kept_kernel, with_threads

from lorarack.server.cpu.custom_ops import LayerFactory
from lorarack.server.cpu.rows import Rows

#: Inputs and the widths of the slices: q, k and v; o; gate and up; down.
_LAYERS: tuple[tuple[int, tuple[int, ...]], ...] = (
    (576, (576, 192, 192)), (576, (576,)), (576, (1536, 1536)), (1536, (576,)),
)  # fmt: skip
_BLOCKS, _MEASURED, _SLOTS, _ROUNDS = 30, 5, 8, 7
#: Segments and the rows of each.
_BATCHES = ((8, 64), (8, 512), (1, 4096))
_RANKS = (16, 64)


@dataclass(frozen=True)
class _Layer:
    index: int  # of the kernel's layer
    weight: torch.Tensor  # (outputs, inputs)
    slices: tuple[slice, ...]  # along the outputs
    a: list[list[torch.Tensor]]  # by slot and slice, transposed: (inputs, rank)
    b: list[list[torch.Tensor]]  # (rank, width)
    all_a: list[torch.Tensor]  # by slot: (inputs, slices * rank)


_Way = Callable[[_Layer, torch.Tensor, torch.Tensor, Sequence[slice]], None]


def main() -> None:
    """Measure and print."""
    with_threads("benchmarks.cpu_lora.products")
    factory = LayerFactory(kept_kernel())
    rows = factory.make_rows()
    print("| rank | segments | tiles | two products | with one product for all A |\n| --- | --- | --- | --- | --- |")
    for rank in _RANKS:
        layers = [_make(factory, rows, rank, *shape) for _ in range(_MEASURED) for shape in _LAYERS]
        for segments, length in _BATCHES:
            rows.assign(torch.arange(segments).repeat_interleave(length))
            taken = _measure(layers, segments, length)
            print(f"| {rank} | {segments} of {length} rows | " + " | ".join(f"{ms:.0f} ms" for ms in taken) + " |")


def _make(factory: LayerFactory, rows: Rows, rank: int, inputs: int, widths: tuple[int, ...]) -> _Layer:
    _, index, layer = factory.make_layer(rows, torch.bfloat16, inputs, widths, _SLOTS, rank)
    a = [[_random(inputs, rank) for _ in widths] for _ in range(_SLOTS)]
    b = [[_random(rank, width) for width in widths] for _ in range(_SLOTS)]
    for slot in range(_SLOTS):
        for part in range(len(widths)):
            layer.put(slot, part, a[slot][part].t(), b[slot][part].t())
    ends = [sum(widths[: part + 1]) for part in range(len(widths))]
    slices = tuple(slice(end - width, end) for end, width in zip(ends, widths, strict=True))
    return _Layer(index, _random(ends[-1], inputs), slices, a, b, [torch.cat(of_slot, 1) for of_slot in a])


def _random(*shape: int) -> torch.Tensor:
    return torch.randn(shape).mul(0.05).bfloat16()


def _tiles(layer: _Layer, x: torch.Tensor, y: torch.Tensor, segments: Sequence[slice]) -> None:
    torch.ops.lorarack.add_lora(y, x, layer.index)


def _pairs(layer: _Layer, x: torch.Tensor, y: torch.Tensor, segments: Sequence[slice]) -> None:
    for slot, rows in enumerate(segments):
        for columns, a, b in zip(layer.slices, layer.a[slot], layer.b[slot], strict=True):
            y[rows, columns].addmm_(torch.mm(x[rows], a), b)


def _joined(layer: _Layer, x: torch.Tensor, y: torch.Tensor, segments: Sequence[slice]) -> None:
    for slot, rows in enumerate(segments):
        between = torch.mm(x[rows], layer.all_a[slot]).chunk(len(layer.slices), 1)
        for columns, part, b in zip(layer.slices, between, layer.b[slot], strict=True):
            y[rows, columns].addmm_(part, b)


def _measure(layers: Sequence[_Layer], segments: int, length: int) -> list[float]:
    """Milliseconds of each way, which take turns."""
    ways: tuple[_Way, ...] = (_tiles, _pairs, _joined)
    xs = {inputs: _random(segments * length, inputs) for inputs, _ in _LAYERS}
    parts = [slice(number * length, (number + 1) * length) for number in range(segments)]
    taken: list[list[float]] = [[] for _ in ways]
    with torch.inference_mode():
        for number in range(_ROUNDS + 1):
            order = list(enumerate(ways))
            for place, way in order if number % 2 == 0 else order[::-1]:
                seconds = sum(_seconds(way, layer, xs[layer.weight.shape[1]], parts) for layer in layers)
                taken[place].append(seconds * 1e3 * _BLOCKS / _MEASURED)
    return [statistics.median(of_way[1:]) for of_way in taken]


def _seconds(way: _Way, layer: _Layer, x: torch.Tensor, segments: Sequence[slice]) -> float:
    y = torch.nn.functional.linear(x, layer.weight)
    begin = time.perf_counter()
    way(layer, x, y, segments)
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
