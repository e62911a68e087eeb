"""The products themselves, per group of rows, accumulated in float32.

Stacked weights have one matrix per slot: A is ``(slots, 1, rank, d_in)``, B is ``(slots, 1, d_out, rank)``; the axis of
length 1 may be missing. Slots are padded with zeros to the server's largest rank, which changes no product.
"""

import torch

from lorarack.server.cpu.row_groups import Group, Rows


def shrink(x: torch.Tensor, lora_a: torch.Tensor, group: Group, scale: float) -> torch.Tensor:
    """``scale · x[rows] @ A[slot]ᵀ``: float32 ``(rows, rank)``."""
    product = take(x, group.rows).float() @ slot_matrix(lora_a, group.slot).float().t()
    return product if scale == 1.0 else product.mul_(scale)


def expand(
    y: torch.Tensor, shrunk: torch.Tensor, lora_b: torch.Tensor, group: Group, columns: slice, *, add: bool = True
) -> None:
    """``y[rows, columns] += shrunk @ B[slot]ᵀ`` in place (``=`` when not ``add``), rounded to y's type once, at the end.

    A B of two axes is the group's own matrix.
    Where B has more or fewer outputs than ``columns`` (a vocabulary padded differently), the common ones are used.
    """
    matrix = lora_b if lora_b.dim() == 2 else slot_matrix(lora_b, group.slot)
    start, stop, _ = columns.indices(y.shape[-1])
    width = min(stop - start, matrix.shape[0])
    put(y[:, start : start + width], group.rows, shrunk.float() @ matrix[:width].float().t(), add=add)


def add_products(
    y: torch.Tensor, x: torch.Tensor, lora_a: torch.Tensor, lora_b: torch.Tensor, group: Group, columns: slice
) -> None:
    """``y[rows, columns] += (x[rows] @ Aᵀ) @ Bᵀ`` in place, with one adapter's own A ``(rank, d_in)`` and B ``(d_out, rank)``."""
    start, stop, _ = columns.indices(y.shape[-1])
    width = min(stop - start, lora_b.shape[0])
    shrunk = take(x, group.rows).float() @ lora_a.float().t()
    put(y[:, start : start + width], group.rows, shrunk @ lora_b[:width].float().t(), add=True)


def slot_matrix(stacked: torch.Tensor, slot: int) -> torch.Tensor:
    """The slot's own matrix, without the axis of length 1. A view."""
    matrix = stacked[slot]
    return matrix.squeeze(0) if matrix.dim() == 3 else matrix


def take(x: torch.Tensor, rows: Rows) -> torch.Tensor:
    """The rows of ``x``: a view for a slice, a copy otherwise."""
    return x[rows] if isinstance(rows, slice) else x.index_select(0, rows)


def put(y: torch.Tensor, rows: Rows, values: torch.Tensor, *, add: bool) -> None:
    """Add ``values`` to the rows of ``y`` in place, or store them there; other rows are not read or written."""
    if isinstance(rows, slice):
        if add:
            y[rows].add_(values)
        else:
            y[rows].copy_(values)
        return
    if add:
        values = y.index_select(0, rows) + values
    y.index_copy_(0, rows, values.to(y.dtype))
