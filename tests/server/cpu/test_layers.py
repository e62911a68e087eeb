"""The kernel and torch alone, in one suite: both give what float64 gives, for any mixture of adapters and rows without one."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.server.cpu.cases import SLOTS, Case, Computed, assert_right, expected, fill

from lorarack.server.cpu.custom_ops import layer_factory

pytestmark = pytest.mark.torch

TYPES = (torch.bfloat16, torch.float32)
many = settings(max_examples=80)


@pytest.fixture(params=["kernel", "torch"], scope="module")
def kind(request: pytest.FixtureRequest) -> str:
    if request.param == "kernel" and layer_factory().kernel is None:
        pytest.skip("needs g++")
    return str(request.param)


@st.composite
def cases(draw: st.DrawFn, whole: bool) -> Case:
    """Any step: empty, one row, base only, one adapter, long runs, scattered rows; any ranks, slices without an adapter."""
    runs = draw(
        st.lists(st.tuples(st.integers(-1, SLOTS - 1), st.sampled_from([1, 1, 1, 2, 3, 7, 8, 17])), max_size=12)
    )
    slots = tuple(slot for slot, count in runs for _ in range(count))[:70]
    widths = tuple(draw(st.lists(st.sampled_from([1, 5, 16, 24, 40, 65, 130]), min_size=1, max_size=4)))
    a_rank = st.one_of(st.integers(1, 40), st.sampled_from([64, 100, 512]))
    held = draw(st.dictionaries(st.tuples(st.integers(0, SLOTS - 1), st.integers(0, len(widths) - 1)), a_rank))
    return Case(
        slots=slots,
        inputs=8 * draw(st.one_of(st.integers(1, 12), st.just(72))),
        widths=widths,
        ranks=tuple((slot, part, rank) for (slot, part), rank in held.items()),
        weights=draw(st.sampled_from(TYPES)),
        output=draw(st.sampled_from(TYPES)),
        whole=whole,
        padding=draw(st.integers(0, 3)),
        wider=draw(st.integers(1 - widths[-1], 20)),
        strided=draw(st.booleans()),
        seed=draw(st.integers(0, 999)),
    )


def answer(case: Case, kind: str) -> torch.Tensor:
    computed = Computed.make(layer_factory(), case, kind)
    fill(computed.layer, case.matrices)
    try:
        return computed.step(case)
    finally:
        computed.empty()


@many
@given(case=cases(whole=True))
def test_whole_numbers_come_out_to_the_bit(kind: str, case: Case) -> None:
    """Every row gets its own adapter, of every rank, in every column, rounded once."""
    assert_right(case, answer(case, kind))


@many
@given(case=cases(whole=False))
def test_real_numbers_come_out_within_their_roundings(kind: str, case: Case) -> None:
    """Sums are float32; in between, and at the end, one rounding."""
    assert_right(case, answer(case, kind))


USUAL = Case(
    (0, -1, 3, 3, 0, 1), 64, (48, 16), tuple((s, p, 8) for s in range(4) for p in (0, 1)), *[torch.bfloat16] * 2
)


@pytest.mark.parametrize("rank", [*range(1, 41), 64, 100, 512])
def test_every_rank(kind: str, rank: int) -> None:
    """Alone, and beside other ranks, in tiles of one, two, four and eight rows."""
    for count in (1, 2, 4, 8, 15):
        case = replace(USUAL, slots=(2, *[0] * count, -1, 1), ranks=((0, 0, rank), (1, 0, 3), (1, 1, rank), (2, 1, 16)))
        assert_right(case, answer(case, kind))


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("slots", [(), (-1,), (2,), (-1, -1, -1), (3, 3, 3), (0, 3, 0, 3), (1,) * 70])
def test_the_edges(kind: str, slots: tuple[int, ...], whole: bool) -> None:
    """Empty, one row, all base, all one adapter, alternating, a long prompt."""
    case = replace(USUAL, slots=slots, whole=whole)
    assert_right(case, answer(case, kind))


@pytest.mark.parametrize("weights", TYPES)
def test_the_tolerance_sees_a_lost_rank_and_a_wrong_row(weights: torch.dtype) -> None:
    """Else the suite for real numbers would say little: answers without the last rank, or with a neighbour's adapter, fail."""
    case = replace(USUAL, weights=weights, output=weights, whole=False)
    right, _ = expected(case)
    assert_right(case, right.to(weights))
    lost = {key: (a[:-1], b[:, :-1]) for key, (a, b) in case.matrices.items()}
    with pytest.raises(AssertionError):
        assert_right(case, expected(case, lost)[0].to(weights))
    with pytest.raises(AssertionError):
        assert_right(case, right[[0, 1, 3, 2, 4, 5]].to(weights))
