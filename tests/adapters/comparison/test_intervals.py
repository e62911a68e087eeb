"""Intervals hold what they promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorarack.adapters.comparison.intervals import bootstrap, portions, quantile, wilson

rights = st.lists(st.sampled_from([0.0, 1.0]), min_size=1, max_size=200)
grades = st.lists(st.floats(0, 1), min_size=1, max_size=50)


def test_wilson_gives_the_textbook_numbers() -> None:
    """Newcombe (1998), table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29, at 95 %."""
    for right, rows, low, high in [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ]:
        interval = wilson([1.0] * right + [0.0] * (rows - right))
        assert [interval.low, interval.high] == pytest.approx([low, high], abs=5e-5)


@given(rights)
def test_wilson_contains_the_share_and_never_claims_certainty(scores: list[float]) -> None:
    interval = wilson(scores)
    assert 0 <= interval.low <= interval.mean + 1e-12
    assert interval.mean - 1e-12 <= interval.high <= 1
    assert interval.high - interval.low > 0.01


@given(grades)
def test_bootstrap_stays_within_the_data_and_gives_the_same_each_time(scores: list[float]) -> None:
    interval = bootstrap(scores)
    assert min(scores) - 1e-9 <= interval.low <= interval.high <= max(scores) + 1e-9
    assert interval == bootstrap(scores)


def test_bootstrap_is_near_the_normal_interval_where_that_is_right() -> None:
    sample = np.random.default_rng(1).normal(3.0, 2.0, 400)
    interval = bootstrap([float(value) for value in sample])
    half = quantile(0.95) * sample.std(ddof=1) / 20
    assert interval.low == pytest.approx(sample.mean() - half, abs=0.03)
    assert interval.high == pytest.approx(sample.mean() + half, abs=0.03)


def test_bootstrap_leans_towards_the_long_tail() -> None:
    """BCa, unlike a symmetric interval, reaches farther on the side of the skew."""
    sample = np.random.default_rng(2).exponential(1.0, 30)
    interval = bootstrap([float(value) for value in sample])
    assert interval.high - interval.mean > 1.15 * (interval.mean - interval.low)


def test_higher_confidence_is_a_wider_interval() -> None:
    scores = [0.1, 0.4, 0.9, 0.3, 0.7, 0.6]
    narrow, wide = bootstrap(scores, 0.8), bootstrap(scores, 0.99)
    assert wide.low < narrow.low < narrow.high < wide.high
    assert quantile(0.95) == pytest.approx(1.959964, abs=1e-6)


@given(st.integers(0, 5000), st.integers(1, 700))
def test_portions_add_up(total: int, at_once: int) -> None:
    parts = portions(total, at_once)
    assert sum(parts) == total
    assert all(0 < part <= at_once for part in parts)
