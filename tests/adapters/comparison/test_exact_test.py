"""The test of right-or-wrong scores: known cases, and its error rate and power without any simulation, by counting."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import binom, multinomial, norm

from lorarack.adapters.comparison.exact_test import exact_p_value, score_statistic
from lorarack.adapters.comparison.paired import RightOrWrong, lower_bound, upper_bound

pytestmark = pytest.mark.thorough


def test_when_no_row_differs_only_the_number_of_rows_speaks() -> None:
    """To have seen none of the losses of a version that is five points worse: 0.95 to the number of rows."""
    for rows, not_worse in ((10, False), (58, False), (59, True), (1000, True)):
        assert exact_p_value(0, 0, rows, -0.05) == pytest.approx(0.95**rows, abs=2e-4)
        assert (lower_bound(RightOrWrong(0, 0, rows), 0.05) > -0.05) is not_worse


def test_the_statistic_is_tangos() -> None:
    """His example (1998): 44 pairs, 43 agree, one is lost, margin 0.1: Z = 1.709, p = 0.044; his interval -0.118 to 0.060."""
    assert float(score_statistic(np.array(0.0), np.array(1.0), 44, -0.1)) == pytest.approx(1.709, abs=0.03)


def test_with_many_rows_it_is_the_normal_test() -> None:
    exact = exact_p_value(480, 520, 10_000, -0.01)
    assert exact == pytest.approx(float(norm.sf((-40 + 100) / np.sqrt(1000))), rel=0.05)
    assert lower_bound(RightOrWrong(480, 520, 10_000), 0.025) == pytest.approx(-0.004 - 1.96 * 0.00316, abs=1e-4)


@pytest.mark.parametrize(("wins", "losses", "rows"), [(0, 0, 10), (0, 7, 96), (12, 2, 96), (5, 5, 30), (40, 60, 1000)])
def test_bounds_are_where_the_test_changes_its_mind(wins: int, losses: int, rows: int) -> None:
    pair = RightOrWrong(wins, losses, rows)
    low, high = lower_bound(pair, 0.05), upper_bound(pair, 0.05)
    assert low <= pair.estimate <= high
    assert pair.p_value(low - 0.003) < 0.05 < pair.p_value(low + 0.003)
    assert lower_bound(pair.reversed(), 0.05) == pytest.approx(-high)


def test_one_more_win_never_speaks_for_worse() -> None:
    for losses in range(6):
        values = [exact_p_value(wins, losses, 40, -0.05) for wins in range(20)]
        assert all(later <= earlier + 1e-3 for earlier, later in pairwise(values))


def rejection_rate(rows: int, margin: float, level: float, differing: float, truth: float) -> float:
    """The probability that the test says "not worse", summed over every outcome that can be."""
    spread = 8 * np.sqrt(rows * differing) + 12
    most = int(min(rows, rows * differing + spread))
    wins, losses = (axis.ravel() for axis in np.meshgrid(np.arange(most + 1), np.arange(most + 1)))
    inside = wins + losses <= rows
    wins, losses = wins[inside], losses[inside]
    win, loss = (differing + truth) / 2, (differing - truth) / 2
    chances = multinomial(rows, [win, loss, 1 - win - loss]).pmf(np.column_stack([wins, losses, rows - wins - losses]))
    likely = chances > 1e-9
    said = [
        exact_p_value(int(won), int(lost), rows, -margin) <= level
        for won, lost in zip(wins[likely], losses[likely], strict=True)
    ]
    return float(chances[likely] @ np.array(said, dtype=float))


@pytest.mark.parametrize("rows", [10, 30, 60, 100])
@pytest.mark.parametrize(("margin", "level"), [(0.02, 0.05), (0.05, 0.05), (0.1, 0.05), (0.05, 0.01)])
def test_a_version_at_the_margin_is_rarely_called_not_worse(rows: int, margin: float, level: float) -> None:
    """Counted, not simulated: at every share of differing rows, from all of them lost up to a half."""
    shares = {margin, 1.02 * margin, 1.2 * margin, 1.5 * margin, 2 * margin, 0.2, 0.35, 0.5}
    for differing in shares:
        assert rejection_rate(rows, margin, level, differing, -margin) <= level, differing


def test_so_it_is_with_many_rows() -> None:
    """Where the simulation of ``make bench-compare`` may by luck show more than five."""
    assert 0.045 < rejection_rate(300, 0.1, 0.05, 0.5, -0.1) <= 0.05


@pytest.mark.parametrize(("rows", "differing"), [(100, 0.1), (200, 0.1), (300, 0.2), (500, 0.3)])
def test_the_power_is_within_five_points_of_the_textbook(rows: int, differing: float) -> None:
    """The textbook's: the score test with the normal distribution, versions equally good. Each fifth number of differing rows."""
    number = binom(rows, differing)
    ours = textbook = 0.0
    for count in range(int(number.ppf(1e-4)), int(number.ppf(1 - 1e-4)) + 1, 5):
        wins = np.arange(count + 1, dtype=np.float64)
        chances = number.pmf(count) * binom(count, 0.5).pmf(wins)
        exact = np.array([exact_p_value(int(win), count - int(win), rows, -0.05) for win in wins])
        ours += float(chances @ (exact <= 0.05))
        textbook += float(chances @ (ndtr(-score_statistic(wins, count - wins, rows, -0.05)) <= 0.05))
    assert 5 * ours >= 5 * textbook - 0.05
