"""One step of one layer: which adapters its slots hold, which rows have which, and what float64 says comes out.

With whole numbers every sum is exact and rounded once, to y's type, so that answers must be equal to the bit: the smallest
lost rank shows. With real numbers the tolerance is the sum of the roundings that the arithmetic may make.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from lorarack.server.cpu.custom_ops import LayerFactory
from lorarack.server.cpu.layers import Layer
from lorarack.server.cpu.rows import Rows

SLOTS = 4

#: Half the distance of two neighbours, relative to them.
ROUNDING = {torch.bfloat16: 2.0**-8, torch.float32: 2.0**-24}

Matrices = Mapping[tuple[int, int], tuple[torch.Tensor, torch.Tensor]]


@dataclass(frozen=True)
class Case:
    """``slots``: of each row, -1 for none. ``ranks``: of each (slot, slice) that an adapter is in."""

    slots: tuple[int, ...]
    inputs: int
    widths: tuple[int, ...]
    ranks: tuple[tuple[int, int, int], ...]
    weights: torch.dtype
    output: torch.dtype
    whole: bool = True
    padding: int = 0  # rows behind the mapping
    wider: int = 0  # columns of y behind the last slice, or (below 0) too few
    strided: bool = False  # x and y are windows of something larger
    seed: int = 0

    @cached_property
    def matrices(self) -> Matrices:
        """A and B of each slot and slice."""
        source = torch.Generator().manual_seed(self.seed)
        return {
            (slot, part): (
                draw(source, self.whole, rank, self.inputs, most=1).to(self.weights),
                draw(source, self.whole, self.widths[part], rank, most=2).to(self.weights),
            )
            for slot, part, rank in self.ranks
        }

    def x(self) -> torch.Tensor:
        """The layer's input."""
        return self._window(self.inputs, 2, self.weights, 1)

    def y(self) -> torch.Tensor:
        """What the base made of it."""
        return self._window(sum(self.widths) + self.wider, 60, self.output, 2)

    def _window(self, columns: int, most: int, dtype: torch.dtype, salt: int) -> torch.Tensor:
        source = torch.Generator().manual_seed(self.seed + 1000 * salt)
        rows = len(self.slots) + self.padding
        if not self.strided:
            return draw(source, self.whole, rows, columns, most=most).to(dtype)
        return draw(source, self.whole, 2 * rows, columns + 7, most=most).to(dtype)[::2, 3 : 3 + columns]


def draw(source: torch.Generator, whole: bool, *shape: int, most: int) -> torch.Tensor:
    """Whole numbers from -most to most, or normal ones."""
    if whole:
        return torch.randint(-most, most + 1, shape, generator=source).float()
    return torch.randn(*shape, generator=source)


def fill(layer: Layer, matrices: Matrices) -> None:
    """Put all of them into the layer's slots."""
    for (slot, part), (a, b) in matrices.items():
        layer.put(slot, part, a, b)


def expected(case: Case, matrices: Matrices | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """In float64 what the step must give, and how far an answer may be from it."""
    result, x = case.y().double(), case.x().double()
    allowed = torch.zeros_like(result)
    of_s, of_y, single = ROUNDING[case.weights], ROUNDING[case.output], ROUNDING[torch.float32]
    for (slot, part), (a, b) in (case.matrices if matrices is None else matrices).items():
        rows = [row for row, held in enumerate(case.slots) if held == slot]
        start = sum(case.widths[:part])
        width = min(case.widths[part], result.shape[1] - start)
        a, b = a.double(), b[:width].double()
        s, size = x[rows] @ a.T, x[rows].abs() @ a.abs().T
        result[rows, start : start + width] += s @ b.T
        # s is summed in float32 and rounded once to x's type; so is the second sum, to y's type.
        of_sums = single * (case.inputs * size @ b.abs().T + (a.shape[0] + 2) * s.abs() @ b.abs().T)
        allowed[rows, start : start + width] += of_s * s.abs() @ b.abs().T + of_sums
    has_adapter = torch.tensor([slot >= 0 for slot in case.slots] + [False] * case.padding)
    allowed += (of_y * 1.01 * (result.abs() + allowed) + single * case.y().double().abs()) * has_adapter[:, None]
    return result, allowed


def assert_right(case: Case, answer: torch.Tensor, matrices: Matrices | None = None) -> None:
    """Equal to the bit for whole numbers; within the roundings for real ones; base rows untouched."""
    wanted, allowed = expected(case, matrices)
    if case.whole:
        assert torch.equal(answer, wanted.to(case.output))
    else:
        assert bool(((answer.double() - wanted).abs() <= allowed).all())
    base = [row for row in range(answer.shape[0]) if row >= len(case.slots) or case.slots[row] < 0]
    assert torch.equal(answer[base], case.y()[base]), "rows without an adapter must not change by a bit"


@dataclass
class Computed:
    """A layer of one kind, and its operation."""

    rows: Rows
    layer: Layer
    add: Callable[[torch.Tensor, torch.Tensor], Any]

    @classmethod
    def make(cls, factory: LayerFactory, case: Case, kind: str) -> "Computed":
        """``kernel``, where there is one; or ``torch``, which weights of a rank beyond the kernel's have."""
        rows = factory.make_rows()
        max_rank = 512 if kind == "kernel" else 1024
        name, number, layer = factory.make_layer(rows, case.weights, case.inputs, case.widths, SLOTS, max_rank)
        operation = getattr(torch.ops.lorarack, name)
        return cls(rows, layer, lambda y, x: operation(y, x, number))

    def step(self, case: Case) -> torch.Tensor:
        """Compute the case with what is in the slots; also sees that nothing around y was written."""
        self.rows.assign(torch.tensor(case.slots, dtype=torch.int64))
        y = case.y()
        whole = y._base if y._base is not None else y
        before = whole.clone()
        self.add(y, case.x())
        answer = y.clone()
        y.copy_(case.y())
        assert torch.equal(whole, before), "memory around y was written"
        return answer

    def empty(self) -> None:
        """Give the memory back."""
        for slot in range(SLOTS):
            self.layer.clear(slot)
