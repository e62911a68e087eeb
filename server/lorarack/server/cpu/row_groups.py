"""Which rows of a batch belong to which adapter slot, grouped once per step.

vLLM hands over one slot number per row, -1 for rows that no adapter touches. Indexing weights with that -1 picks the *last*
slot, which is how vLLM's own CPU path answers base-model requests with another request's adapter. Here such rows are in no group.
"""

from dataclasses import dataclass
from typing import TypeAlias

import torch

#: Rows of a batch: a slice when they are neighbours, else their numbers (int64, ascending).
Rows: TypeAlias = slice | torch.Tensor


@dataclass(frozen=True, slots=True)
class Group:
    """All rows of one adapter slot. ``end`` is one past the last of them."""

    slot: int
    rows: Rows
    end: int


def group_rows(slots: torch.Tensor) -> tuple[Group, ...]:
    """Group the rows of a batch by slot, in order of first appearance.

    Args:
        slots: int64, one slot number per row; below 0 means no adapter. May be empty.

    Returns:
        One group per slot that occurs. A slot whose rows are one run is a slice, which costs no copy.
    """
    if slots.numel() == 0:
        return ()
    values, counts = torch.unique_consecutive(slots, return_counts=True)
    runs: dict[int, list[tuple[int, int]]] = {}
    start = 0
    for slot, count in zip(values.tolist(), counts.tolist(), strict=True):
        if slot >= 0:
            runs.setdefault(slot, []).append((start, start + count))
        start += count
    return tuple(Group(slot, _rows(spans), spans[-1][1]) for slot, spans in runs.items())


def _rows(spans: list[tuple[int, int]]) -> Rows:
    if len(spans) == 1:
        return slice(*spans[0])
    return torch.cat([torch.arange(start, end) for start, end in spans])
