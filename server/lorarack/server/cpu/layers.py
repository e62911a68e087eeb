"""What the adapters in the slots add to one layer, at each adapter's own rank."""

from collections.abc import Sequence
from typing import Protocol

import torch

from lorarack.server.cpu.kernel import MAX_RANK, Kernel
from lorarack.server.cpu.rows import Rows
from lorarack.server.cpu.shrink_expand import add_products, expand, take


class Layer(Protocol):
    """The slots of one layer. ``widths`` are those of the output's slices, each of which has an A and a B of its own."""

    widths: tuple[int, ...]

    def put(self, slot: int, part: int, a: torch.Tensor, b: torch.Tensor) -> None:
        """Copy A ``(rank, inputs)`` and B ``(widths[part], rank)`` into a slot.

        Raises:
            ValueError: there is no such slot or part, or the matrices do not fit.
        """

    def clear(self, slot: int) -> None:
        """Empty a slot."""


class KernelLayer:
    """A layer in the compiled kernel's tables."""

    def __init__(
        self, kernel: Kernel, rows: Rows, dtype: torch.dtype, inputs: int, widths: Sequence[int], slots: int
    ) -> None:
        self.kernel, self.dtype, self.inputs, self._slots = kernel, dtype, inputs, slots
        self.widths = tuple(widths)
        self.index = kernel.new_layer(rows.index, dtype, inputs, self.widths, slots)

    def put(self, slot: int, part: int, a: torch.Tensor, b: torch.Tensor) -> None:
        """See :class:`Layer`."""
        _check_fit(self.widths, part, a, b)
        if not 0 <= slot < self._slots or a.shape[1] != self.inputs or a.shape[0] > MAX_RANK:
            raise ValueError(f"slot {slot} has no place for an A of {tuple(a.shape)}")
        self.kernel.put(self.index, slot, part, a.to(self.dtype), b.to(self.dtype))

    def clear(self, slot: int) -> None:
        """See :class:`Layer`."""
        if not 0 <= slot < self._slots:
            raise ValueError(f"there is no slot {slot}")
        self.kernel.clear(self.index, slot)


class TorchLayer:
    """The same with torch: two products for each group of rows, in float32."""

    def __init__(self, rows: Rows, widths: Sequence[int]) -> None:
        self._rows = rows
        self.widths = tuple(widths)
        self._matrices: dict[tuple[int, int], tuple[torch.Tensor, torch.Tensor]] = {}

    def put(self, slot: int, part: int, a: torch.Tensor, b: torch.Tensor) -> None:
        """See :class:`Layer`."""
        _check_fit(self.widths, part, a, b)
        self._matrices[slot, part] = (a.clone(), b.clone())

    def clear(self, slot: int) -> None:
        """See :class:`Layer`."""
        for part in range(len(self.widths)):
            self._matrices.pop((slot, part), None)

    def add(self, y: torch.Tensor, x: torch.Tensor) -> None:
        """``y[row, slice] += B (A x[row])`` in place; x is ``(rows, inputs)``, y ``(rows, sum of widths)``."""
        if x.shape[0] != y.shape[0] or y.shape[1] <= sum(self.widths[:-1]):
            raise RuntimeError(f"LoRA: an input of {tuple(x.shape)} came with an output of {tuple(y.shape)}")
        for group in self._rows.covered(x.shape[0]):
            start = 0
            for part, width in enumerate(self.widths):
                if (matrices := self._matrices.get((group.slot, part))) is not None:
                    add_products(y, x, *matrices, group, slice(start, start + width))
                start += width

    def add_expanded(self, y: torch.Tensor, x: torch.Tensor) -> None:
        """``y[row] += B x[row]`` in place, where x, ``(rows, at least rank)``, is what looking tokens up in A gave."""
        for group in self._rows.covered(x.shape[0]):
            if (matrices := self._matrices.get((group.slot, 0))) is not None:
                b = matrices[1]
                expand(y, take(x, group.rows)[:, : b.shape[1]], b, group, slice(0, self.widths[0]))


def _check_fit(widths: Sequence[int], part: int, a: torch.Tensor, b: torch.Tensor) -> None:
    """The kernel reads memory by address, so only matrices that fit may reach it."""
    if not 0 <= part < len(widths) or a.dim() != 2 or b.shape != (widths[part], a.shape[0]) or not a.shape[0]:
        raise ValueError(
            f"an A of {tuple(a.shape)} and a B of {tuple(b.shape)} do not fit slice {part} of {list(widths)}"
        )
