"""What a version takes of a server's memory."""

from pathlib import Path

import pytest
from tests.adapters.comparison.conftest import home as home

from lorarack.adapters.comparison.slots import SLOT_RANKS, memory_bytes, slot_bytes
from lorarack.registry import open_registry
from lorarack.registry.errors import UsageError
from lorarack.server.limits import RANK_BUCKETS


def test_the_ranks_of_slots_are_the_servers() -> None:
    assert SLOT_RANKS == RANK_BUCKETS


def test_a_slot_has_room_for_every_layer_that_is_adapted_at_the_slots_rank(home: Path) -> None:
    """Rank 2 takes as much as rank 4: both are in a slot of rank 8."""
    with open_registry(home) as registry:
        small, large = registry.resolve("orders@1"), registry.resolve("orders@2")
        base = registry.base("tiny")
    layers = [size for name, size in base.modules.items() if name.endswith("_proj")]
    assert layers
    wanted = sum(2 * 8 * (outputs + inputs) for outputs, inputs in layers)
    assert slot_bytes(small, base) == slot_bytes(large, base) == wanted
    assert slot_bytes(small.model_copy(update={"rank": 9}), base) == 2 * wanted
    assert slot_bytes(small.model_copy(update={"rank": 513}), base) is None


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("16GiB", 2**34),
        ("512 MB", 512 * 10**6),
        ("8g", 2**33),
        ("1.5KiB", 1536),
        ("100", 100),
        ("7B", 7),
        ("2Ti", 2**41),
    ],
)
def test_an_amount_of_memory_is_written_as_people_write_it(text: str, size: int) -> None:
    assert memory_bytes(text) == size


@pytest.mark.parametrize("text", ["", "much", "0", "-1GiB", "1XB", "GiB", "1e3", "nan", "9" * 400])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="write for example 16GiB"):
        memory_bytes(text)
