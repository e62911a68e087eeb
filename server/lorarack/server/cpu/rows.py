"""Which adapter slot each row of the current batch has, shared by all layers."""

import torch

from lorarack.server.cpu.kernel import Kernel
from lorarack.server.cpu.row_groups import Group, group_rows


class Rows:
    """The slots of a batch's rows. Set between steps; kernel and torch read it."""

    def __init__(self, kernel: Kernel | None) -> None:
        self._kernel = kernel
        self._slots = torch.empty(0, dtype=torch.int64)
        self._groups: tuple[Group, ...] | None = ()
        self.index = -1 if kernel is None else kernel.new_rows()

    def assign(self, slots: torch.Tensor) -> None:
        """``slots``: int64, one number per row, below 0 for none. Copied."""
        self._slots, self._groups = slots.clone(), None
        if self._kernel is not None:
            self._kernel.set_rows(self.index, self._slots)

    @property
    def slots(self) -> torch.Tensor:
        """As last assigned."""
        return self._slots

    @property
    def groups(self) -> tuple[Group, ...]:
        """The rows by slot, worked out when first asked for."""
        if self._groups is None:
            self._groups = group_rows(self._slots)
        return self._groups

    def covered(self, count: int) -> tuple[Group, ...]:
        """``groups``, after checking that a batch of ``count`` rows has them all (it may have more: padding)."""
        groups = self.groups
        if groups and max(group.end for group in groups) > count:
            raise RuntimeError(f"a batch of {count} rows came with a mapping of adapters for more rows than that")
        return groups
