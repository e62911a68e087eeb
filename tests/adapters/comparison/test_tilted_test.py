"""The test of graded and grouped scores: known cases."""

import numpy as np
import pytest
from scipy.stats import binom

from lorarack.adapters.comparison.paired import Graded, lower_bound, upper_bound
from lorarack.adapters.comparison.tilted_test import null_weights, tilted_p_value


def rows(*differences: float) -> Graded:
    return Graded(np.array(differences), np.ones(len(differences)))


def test_when_no_row_differs_it_is_the_chance_to_have_missed_every_loss() -> None:
    for count, not_worse in ((10, False), (59, False), (60, True)):
        pair = rows(*[0.0] * count)
        assert pair.p_value(-0.05) == pytest.approx(1.05 * 0.95**count)
        assert (lower_bound(pair, 0.05) > -0.05) is not_worse


def test_the_weights_make_the_mean_zero_and_use_the_unseen_only_where_they_must() -> None:
    values = np.array([0.05] * 8 + [0.35, -0.25])
    weights, unseen = null_weights(values, -0.95)
    assert weights.sum() + unseen == pytest.approx(1)
    assert weights @ values + unseen * -0.95 == pytest.approx(0, abs=1e-9)
    assert null_weights(np.array([0.05] * 8 + [-0.35]), -0.95)[1] == 0
    assert null_weights(np.array([0.05] * 9), -0.95)[1] == pytest.approx(0.05)


def test_of_two_values_it_is_the_binomial() -> None:
    """12 of 20 units are 0.5 above the rest, against a mean of 0.2: the tail of a binomial distribution, ties included."""
    values = np.array([0.3] * 12 + [-0.2] * 8)
    assert tilted_p_value(values, -0.2) == pytest.approx(1.05 * binom(20, 0.4).sf(11), rel=1e-6)


def test_with_many_rows_it_is_the_normal_test() -> None:
    gains = np.random.default_rng(1).normal(0.0, 0.1, 3000)
    pair = Graded(gains, np.ones(3000))
    half = 1.667 * gains.std() / np.sqrt(3000)
    assert lower_bound(pair, 0.05) == pytest.approx(gains.mean() - half, abs=0.0002)
    assert upper_bound(pair, 0.05) == pytest.approx(gains.mean() + half, abs=0.0002)


def test_groups_count_as_groups() -> None:
    """Ten copies of each row are no more evidence than one of each."""
    once = np.where(np.arange(80) < 8, -1.0, 0.0)
    alone, copied = Graded(once, np.ones(80)), Graded(10 * once, np.full(80, 10.0))
    assert lower_bound(copied, 0.05) == pytest.approx(lower_bound(alone, 0.05), abs=1e-3)


def test_a_large_group_could_have_been_lost_whole() -> None:
    """Nothing differs in 60 rows; when 30 of them are one group, that is fewer chances to have seen a loss."""
    weights = np.array([30.0] + [1.0] * 30)
    assert Graded(np.zeros(31), weights).p_value(-0.05) > 2 * rows(*[0.0] * 60).p_value(-0.05)


def test_bounds_stay_within_what_can_be() -> None:
    worst = rows(*[-1.0] * 10)
    assert (lower_bound(worst, 0.05), upper_bound(worst, 0.05) < -0.4) == (-1.0, True)
    score = Graded(np.full(20, 1.0), np.ones(20), 0.0, 1.0)
    assert upper_bound(score, 0.025) == 1.0
    assert 0.7 < lower_bound(score, 0.025) < 1
