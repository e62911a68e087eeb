"""Paired differences: known cases, and by simulation that the intervals cover and the tests do not cry wolf."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorarack.adapters.comparison.paired import adjusted_wald, difference, mcnemar, sign_flip
from lorarack.registry.errors import UsageError

pairs = st.lists(st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 1.0])), min_size=1, max_size=100)


def test_mcnemar_is_the_fair_coin() -> None:
    """5 to 0: 2/32; 9 to 1: 22/1024; an even split and no difference: 1."""
    assert mcnemar(5, 0) == mcnemar(0, 5) == 2 / 32
    assert mcnemar(9, 1) == 22 / 1024
    assert mcnemar(3, 3) == 1
    assert mcnemar(0, 0) == 1
    assert 0 < mcnemar(200, 10) < 1e-40
    assert mcnemar(20_000, 100) == 0


def test_sign_flip_agrees_with_mcnemar_on_right_or_wrong() -> None:
    for wins, losses in [(5, 0), (9, 1), (12, 4), (7, 7)]:
        assert sign_flip([1.0] * wins + [-1.0] * losses + [0.0] * 10) == pytest.approx(mcnemar(wins, losses), abs=0.015)


def test_sign_flip_is_exact_enough_on_a_case_that_can_be_counted() -> None:
    """Of the 8 signings of 1, 2, 4 two reach 7, and four reach 5."""
    assert sign_flip([1.0, 2.0, 4.0]) == pytest.approx(2 / 8, abs=0.01)
    assert sign_flip([-1.0, 2.0, 4.0]) == pytest.approx(4 / 8, abs=0.01)


def test_adjusted_wald_by_hand() -> None:
    """12 won, 2 lost, 96 rows: (13 - 3)/98 ± 1.96 √((13/98 + 3/98 - (10/98)²)/98)."""
    interval = adjusted_wald(12, 2, 96)
    half = 1.959964 * math.sqrt((16 / 98 - (10 / 98) ** 2) / 98)
    assert interval.mean == pytest.approx(10 / 96)
    assert [interval.low, interval.high] == pytest.approx([10 / 98 - half, 10 / 98 + half])


@given(pairs)
def test_exchanging_the_two_exchanges_the_signs(rows: list[tuple[float, float]]) -> None:
    first, second = [row[0] for row in rows], [row[1] for row in rows]
    there, back = difference(first, second, binary=True), difference(second, first, binary=True)
    assert there.interval.low == pytest.approx(-back.interval.high)
    assert (there.wins, there.losses, there.p_value) == (back.losses, back.wins, back.p_value)
    assert there.interval.low <= there.interval.mean <= there.interval.high


def test_no_difference_is_never_certain() -> None:
    """Equal answers on ten rows say little, and the interval must say so, for graded scores too."""
    for binary in (True, False):
        found = difference([1.0] * 10, [1.0] * 10, binary=binary)
        assert found.p_value == 1
        assert found.interval.low < -0.2
        assert found.interval.high > 0.2


def test_graded_scores_get_the_bootstrap() -> None:
    found = difference([0.5, 0.2, 0.9, 0.4], [0.6, 0.4, 0.9, 0.6], binary=False)
    assert (found.method, found.wins, found.losses) == ("BCa bootstrap", 3, 0)
    assert found.interval.mean == pytest.approx(0.125)
    assert 0 <= found.interval.low < 0.125 < found.interval.high <= 0.2


@pytest.mark.parametrize(("first", "second"), [([], []), ([1.0], []), ([1.0, 0.0], [1.0])])
def test_scores_that_do_not_pair_are_refused(first: list[float], second: list[float]) -> None:
    with pytest.raises(UsageError, match="same rows"):
        difference(first, second, binary=True)


@pytest.mark.parametrize(
    ("before", "gain", "drop"), [(0.8, 0.3, 0.05), (0.5, 0.1, 0.1), (0.9, 0.0, 0.0), (0.1, 0.6, 0.2)]
)
def test_the_interval_covers_the_true_difference_at_96_rows(before: float, gain: float, drop: float) -> None:
    """2,000 simulated comparisons: at least 94 % of the intervals hold the truth, allowing two standard errors."""
    source = np.random.default_rng(5)
    truth = (1 - before) * gain - before * drop
    held = 0
    for _ in range(2000):
        first = source.random(96) < before
        second = np.where(first, source.random(96) >= drop, source.random(96) < gain)
        interval = adjusted_wald(int((second & ~first).sum()), int((first & ~second).sum()), 96)
        held += interval.low <= truth <= interval.high
    assert held / 2000 >= 0.95 - 2 * math.sqrt(0.95 * 0.05 / 2000) - 0.005


def test_the_bootstrap_covers_the_true_difference_of_graded_scores() -> None:
    """Skewed differences, 96 rows, 300 comparisons: near 95 %."""
    source = np.random.default_rng(6)
    held = 0
    for _ in range(300):
        first, second = source.beta(5, 1, 96), source.beta(8, 1, 96)
        found = difference(first.tolist(), second.tolist(), binary=False)
        held += found.interval.low <= 8 / 9 - 5 / 6 <= found.interval.high
    assert 0.91 <= held / 300 <= 0.985


def test_alike_versions_are_rarely_told_apart() -> None:
    """Under no true difference at most about 5 % of intervals exclude 0, and p-values fall under 0.05 no more often."""
    source = np.random.default_rng(7)
    excluded = small = 0
    for _ in range(2000):
        first, second = source.random(96) < 0.8, source.random(96) < 0.8
        found = difference(first.astype(float).tolist(), second.astype(float).tolist(), binary=True)
        excluded += found.interval.excludes_zero
        small += found.p_value < 0.05
    assert excluded / 2000 <= 0.06
    assert small / 2000 <= 0.05
