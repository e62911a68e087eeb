"""By simulation: how often a version is called not worse that is behind by the margin, and how often good ones are recommended.

The exact test is counted through in ``test_exact_test``; here are several versions, graded scores and groups. The limits allow two
standard errors of the simulation; ``make bench-compare`` runs a wider one.
"""

import math

import numpy as np
import numpy.typing as npt
import pytest
from benchmarks.simulated_scores import graded, right_or_wrong

from lorarack.adapters.comparison.margin_rule import adjusted_p_values
from lorarack.adapters.comparison.paired import Graded, Pair
from lorarack.adapters.comparison.score_table import ScoreTable

pytestmark = pytest.mark.thorough


def not_worse(table: ScoreTable, margin: float) -> list[bool]:
    """For each version whether it is called not worse."""
    count = len(table.references)
    pairs: dict[tuple[int, int], Pair] = {
        (i, j): table.pair(i, j) for i in range(count) for j in range(count) if i != j
    }
    return [p <= 0.05 for p, _ in adjusted_p_values(pairs, count, margin)]


def table(scores: npt.NDArray[np.float64]) -> ScoreTable:
    return ScoreTable(tuple(f"a@{number}" for number in range(scores.shape[1])), scores)


def limit(runs: int) -> float:
    return 0.05 + 2 * math.sqrt(0.05 * 0.95 / runs)


@pytest.mark.parametrize("versions", [2, 3, 6])
@pytest.mark.parametrize(
    ("rows", "differing", "margin"),
    [(10, 0.2, 0.1), (40, 0.06, 0.05), (60, 0.05, 0.05), (60, 0.2, 0.1), (100, 0.1, 0.05)],
)
def test_versions_at_the_margin_are_rarely_called_not_worse(
    versions: int, rows: int, differing: float, margin: float
) -> None:
    """All but the best are behind by exactly the margin; a run is wrong if any of them is called not worse."""
    source, runs = np.random.default_rng(rows * versions), 2000 if versions < 6 else 600
    wrong = sum(
        any(not_worse(table(right_or_wrong(source, rows, versions, differing, margin)), margin)[1:])
        for _ in range(runs)
    )
    assert wrong / runs <= limit(runs)


@pytest.mark.parametrize(
    ("rows", "differing", "margin"),
    [(10, 0.5, 0.1), (30, 0.2, 0.05), (30, 0.5, 0.1), (100, 0.16, 0.05), (100, 0.5, 0.05), (300, 0.1, 0.03)],
)
def test_so_are_graded_scores(rows: int, differing: float, margin: float) -> None:
    source, runs = np.random.default_rng(rows), 1000
    wrong = 0
    for _ in range(runs):
        scores = graded(source, rows, 2, differing, margin)
        wrong += Graded(scores[:, 1] - scores[:, 0], np.ones(rows)).p_value(-margin) <= 0.05
    assert wrong / runs <= limit(runs)


def test_a_t_test_would_not_do() -> None:
    """Why there is a test of our own: with few differing rows a t-test calls versions at the margin not worse twice too often."""
    source, runs, wrong = np.random.default_rng(1), 2000, 0
    for _ in range(runs):
        scores = right_or_wrong(source, 40, 2, 0.06, 0.05)
        gains = scores[:, 1] - scores[:, 0]
        error = gains.std(ddof=1) / math.sqrt(40)
        wrong += gains.mean() - 1.685 * error > -0.05
    assert wrong / runs > 0.08


def test_groups_of_unequal_sizes_are_one_draw_each() -> None:
    """Whole conversations are lost together; tested row by row the error rate would be far above 5 %."""
    source, runs = np.random.default_rng(2), 600
    wrong = by_row = 0
    for _ in range(runs):
        sizes = source.integers(1, 8, 60)
        groups = np.repeat(np.arange(60), sizes)
        lost = (source.random(60) < 0.1)[groups]
        scores = np.column_stack([np.ones(len(groups)), 1.0 - lost])
        names = ("a@1", "a@2")
        wrong += ScoreTable(names, scores, tuple(groups.tolist())).pair(1, 0).p_value(-0.1) <= 0.05
        by_row += ScoreTable(names, scores).pair(1, 0).p_value(-0.1) <= 0.05
    assert wrong / runs <= limit(runs)
    assert by_row / runs > 0.1


@pytest.mark.parametrize(("rows", "differing"), [(200, 0.5), (400, 0.5)])
def test_graded_scores_have_nearly_the_power_of_a_t_test(rows: int, differing: float) -> None:
    """Where a t-test may be used: many differing rows, versions equally good."""
    source, runs = np.random.default_rng(rows), 600
    ours = textbook = 0
    for _ in range(runs):
        scores = graded(source, rows, 2, differing, 0.0)
        gains = scores[:, 1] - scores[:, 0]
        ours += Graded(gains, np.ones(rows)).p_value(-0.03) <= 0.05
        textbook += gains.mean() - 1.652 * gains.std(ddof=1) / math.sqrt(rows) > -0.03
    assert 0.5 < textbook / runs < 0.99
    assert ours >= textbook - 0.05 * runs
