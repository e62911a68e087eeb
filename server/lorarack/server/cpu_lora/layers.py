"""What the adapters in the slots add to one layer, at each adapter's own rank."""

from collections.abc import Sequence
from typing import Protocol

import torch

from lorarack.server.cpu_lora.arithmetic import add_products, expand, take
from lorarack.server.cpu_lora.kernel import Kernel
from lorarack.server.cpu_lora.rows import Rows


class Layer(Protocol):
    """The slots of one layer. ``widths`` are those of the output's slices, each of which has an A and a B of its own."""

    widths: tuple[int, ...]

    def put(self, slot: int, part: int, a: torch.Tensor, b: torch.Tensor) -> None:
        """Copy A ``(rank, inputs)`` and B ``(widths[part], rank)`` into a slot."""

    def clear(self, slot: int) -> None:
        """Empty a slot."""


class KernelLayer:
    """A layer in the compiled kernel's tables."""

    def __init__(
        self, kernel: Kernel, rows: Rows, dtype: torch.dtype, inputs: int, widths: Sequence[int], slots: int
    ) -> None:
        self._kernel, self._dtype = kernel, dtype
        self.widths = tuple(widths)
        self.index = kernel.new_layer(rows.index, dtype, inputs, self.widths, slots)

    def put(self, slot: int, part: int, a: torch.Tensor, b: torch.Tensor) -> None:
        """See :class:`Layer`."""
        self._kernel.put(self.index, slot, part, a.to(self._dtype), b.to(self._dtype))

    def clear(self, slot: int) -> None:
        """See :class:`Layer`."""
        self._kernel.clear(self.index, slot)


class TorchLayer:
    """The same with torch alone: two products for each group of rows, in float32."""

    def __init__(self, rows: Rows, widths: Sequence[int]) -> None:
        self._rows = rows
        self.widths = tuple(widths)
        self._matrices: dict[tuple[int, int], tuple[torch.Tensor, torch.Tensor]] = {}

    def put(self, slot: int, part: int, a: torch.Tensor, b: torch.Tensor) -> None:
        """See :class:`Layer`."""
        self._matrices[slot, part] = (a.clone(), b.clone())

    def clear(self, slot: int) -> None:
        """See :class:`Layer`."""
        for part in range(len(self.widths)):
            self._matrices.pop((slot, part), None)

    def add(self, y: torch.Tensor, x: torch.Tensor) -> None:
        """``y[row, slice] += B (A x[row])`` in place; x is ``(rows, inputs)``, y ``(rows, sum of widths)``."""
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
