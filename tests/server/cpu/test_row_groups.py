"""Rows of a batch are grouped by slot: nothing lost, nothing twice, and no copy where a slice will do."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lorarack.server.cpu.row_groups import group_rows

pytestmark = pytest.mark.torch


@given(st.lists(st.integers(-1, 4), max_size=40))
def test_every_row_with_an_adapter_is_in_exactly_its_own_group(slots: list[int]) -> None:
    """Expanding the groups gives the slots back; rows of -1 are in none."""
    rebuilt = torch.full((len(slots),), -1)
    seen = torch.zeros(len(slots), dtype=torch.long)
    for group in group_rows(torch.tensor(slots, dtype=torch.long)):
        rebuilt[group.rows] = group.slot
        seen[group.rows] += 1
        assert group.end == max(row for row, slot in enumerate(slots) if slot == group.slot) + 1
    assert rebuilt.tolist() == slots
    assert seen.tolist() == [int(slot >= 0) for slot in slots]


def test_neighbours_are_a_slice_and_scattered_rows_are_not() -> None:
    """One run costs no copy; a slot with several runs is gathered once, not once a run."""
    first, second = group_rows(torch.tensor([2, 2, -1, 0, 2, 0]))
    assert (first.slot, second.slot) == (2, 0)
    assert isinstance(first.rows, torch.Tensor)
    (only,) = group_rows(torch.tensor([-1, 3, 3, 3, -1]))
    assert only.rows == slice(1, 4)
