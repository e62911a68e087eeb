"""The largest numbers are found whatever the pieces in which a file passes by."""

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.tiny import write_safetensors

from lorarack.registry.artifact.weights import LargestNumbers, read_header

ARRAYS: dict[str, NDArray[Any]] = {
    "a": np.array([[1.5, -3.0], [0.0, 2.0]], np.float32),
    "b": np.array([-0.5, 0.25, -0.75], np.float16),
    "empty": np.zeros((0, 4), np.float32),
    "bf16": (np.array([1.0, -8.0, 2.0], np.float32).view(np.uint32) >> 16).astype(np.uint16),
    "zeros": np.array([0.0, -0.0], np.float32),
    "ignored": np.array([100, 200], np.int32),
    "last": np.array([7.0], np.float16),
}
LARGEST = {"a": 3.0, "b": 0.75, "empty": 0.0, "bf16": 8.0, "zeros": 0.0, "last": 7.0}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights") / "file"


def largest(place: Path, arrays: dict[str, NDArray[Any]], cuts: list[int]) -> dict[str, float]:
    data = write_safetensors(place, arrays).read_bytes()
    found = LargestNumbers(read_header(io.BytesIO(data), len(data)))
    places = sorted({min(cut, len(data)) for cut in cuts})
    for start, end in zip([0, *places], [*places, len(data)], strict=True):
        found.feed(data[start:end])
    return found.magnitudes()


@given(cuts=st.lists(st.integers(0, 1000), max_size=12))
def test_pieces_may_end_anywhere(place: Path, cuts: list[int]) -> None:
    assert largest(place, ARRAYS, cuts) == LARGEST


def test_an_empty_tensor_behind_a_piece_takes_nothing_of_the_next(place: Path) -> None:
    """Every place of one cut: the empty tensor begins where a full one does, which a piece may end within."""
    size = len(write_safetensors(place, ARRAYS).read_bytes())
    wrong = [cut for cut in range(size) if largest(place, ARRAYS, [cut]) != LARGEST]
    assert wrong == []


def test_one_byte_at_a_time(place: Path) -> None:
    assert largest(place, ARRAYS, list(range(2000))) == LARGEST


@pytest.mark.parametrize("odd", [math.nan, -math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["a", "b", "last"])
@pytest.mark.parametrize("piece", [1, 3, 4096])
def test_nan_and_infinity_are_infinite(place: Path, odd: float, name: str, piece: int) -> None:
    array = ARRAYS[name].copy()
    array.flat[-1] = odd
    found = largest(place, {**ARRAYS, name: array}, list(range(0, 2000, piece)))
    assert found == {**LARGEST, name: math.inf}
