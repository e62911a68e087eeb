"""The order of rows: every row once an epoch, the same for the same seed, like lengths together."""

import pytest

pytestmark = pytest.mark.torch


@pytest.mark.parametrize(
    ("rows", "size", "accumulation"), [(100, 4, 1), (103, 4, 2), (3, 8, 1), (1, 1, 4), (1000, 8, 1)]
)
def test_every_row_comes_once_in_an_epoch(rows: int, size: int, accumulation: int) -> None:
    from lorarack.adapters.training.batch_order import BatchOrder

    lengths = [(place * 7919) % 97 + 1 for place in range(rows)]
    order, other = (BatchOrder(lengths, size, accumulation, seed) for seed in (0, 1))
    epochs = []
    for epoch in range(2):
        order.set_epoch(epoch)
        found = list(order)
        assert sorted(row for batch in found for row in batch) == list(range(rows))
        assert len(found) == len(order)
        assert all(len(batch) == size for batch in found[:-1])
        epochs.append(found)
    order.set_epoch(0)
    assert list(order) == epochs[0]
    if rows > 8:
        assert epochs[0] != epochs[1]
        assert list(other) != epochs[0]


def test_rows_of_like_length_share_a_step_and_the_longest_come_first() -> None:
    from lorarack.adapters.training.batch_order import BatchOrder

    lengths = [(place * 7919) % 512 + 1 for place in range(800)]
    found = list(BatchOrder(lengths, 8, 1, 0))
    padded = sum(max(lengths[row] for row in batch) * len(batch) for batch in found)
    assert padded < 1.05 * sum(lengths)
    assert max(lengths) in [lengths[row] for row in found[0]]
