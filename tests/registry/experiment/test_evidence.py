"""Evidence that may be looked at after every observation: how often it is wrong, counted."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorarack.registry.experiment.evidence import (
    BETS,
    Floats,
    log_evidence_above,
    log_evidence_above_from_sums,
)

pytestmark = pytest.mark.thorough

RUNS, LENGTH = 1000, 1000
LEVEL = math.log(1 / 0.05)
VALUES = np.array([-1.0, 0.0, 1.0])
#: 5 % of the runs, and four standard errors of that: what a right procedure passes in all but one of 30,000 trials.
ALLOWED = 0.05 + 4 * math.sqrt(0.05 * 0.95 / RUNS)


def paired_counts(differing: float, mean: float, seed: int) -> Floats:
    """Running counts of -1, 0 and 1; shape (runs, length, 3)."""
    shares = [(differing - mean) / 2, 1 - differing, (differing + mean) / 2]
    drawn = np.random.default_rng(seed).choice(3, size=(RUNS, LENGTH), p=shares)
    return np.stack([np.cumsum(drawn == value, axis=1) for value in range(3)], axis=-1).astype(float)


def running_sums(scores: Floats) -> tuple[Floats, Floats, Floats]:
    """What ``Scores`` keeps after each of the scores, for many runs at once; each of shape (runs, length)."""
    count = np.broadcast_to(np.arange(1.0, scores.shape[1] + 1), scores.shape)
    total = np.cumsum(scores, axis=1)
    estimate = (0.5 + total - scores) / count
    return count, total, np.cumsum((scores - estimate) ** 2, axis=1)


@pytest.mark.parametrize("differing", [0.02, 0.05, 0.2, 0.6])
@pytest.mark.parametrize("margin", [0.0, 0.02])
def test_a_challenger_that_is_worse_by_just_the_margin_is_rarely_called_not_worse(
    differing: float, margin: float
) -> None:
    counts = paired_counts(differing, -margin, seed=1)
    ever = (log_evidence_above(-margin, VALUES, counts, -1.0) >= LEVEL).any(axis=1)
    assert ever.mean() <= ALLOWED


@pytest.mark.parametrize("seed", range(3))
def test_graded_scores_that_do_not_differ_are_rarely_told_apart(seed: int) -> None:
    shapes = np.random.default_rng(seed)
    concentration = (0.5, 2.0, 20.0)[seed]
    scores = shapes.beta(concentration, concentration, size=(RUNS, LENGTH))
    ever = (log_evidence_above_from_sums(0.5, *running_sums(scores)) >= LEVEL).any(axis=1)
    assert ever.mean() <= ALLOWED


def test_a_mean_that_drifts_around_its_average_is_rarely_called_above_it() -> None:
    """Users change over the day; the average of what was expected is what the interval is about."""
    drift = 0.1 * np.sin(np.arange(LENGTH) / 50)
    bounds = 0.5 + np.cumsum(drift) / np.arange(1, LENGTH + 1)
    scores = (np.random.default_rng(5).random((RUNS, LENGTH)) < 0.5 + drift).astype(float)
    count, total, deviation = running_sums(scores)
    wealth = log_evidence_above_from_sums(0.0, count, total - count * bounds, deviation)
    assert (wealth >= LEVEL).any(axis=1).mean() <= ALLOWED


def test_a_real_difference_is_found() -> None:
    """The check that the tests above could fail: evidence that never grows would pass all of them."""
    counts = paired_counts(0.05, 0.0, seed=2)
    found = (log_evidence_above(-0.05, VALUES, counts, -1.0) >= LEVEL).any(axis=1)
    assert found.mean() > 0.99
    better = paired_counts(0.2, 0.07, seed=3)
    assert (log_evidence_above(0.0, VALUES, better, -1.0) >= LEVEL).any(axis=1).mean() > 0.95


@given(st.lists(st.sampled_from([-1, 0, 1]), max_size=30), st.floats(-0.9, 0.9))
def test_the_wealth_is_what_the_bettor_has_after_betting_one_by_one(observed: list[int], bound: float) -> None:
    """The closed form over counts against the game itself, bet by bet."""
    wealths = np.ones(len(BETS))
    for value in observed:
        wealths *= 1 + BETS * (value - bound) / (bound + 1)
    counts = np.array([observed.count(value) for value in (-1, 0, 1)])
    assert float(log_evidence_above(bound, VALUES, counts, -1.0)) == pytest.approx(math.log(wealths.mean()), abs=1e-6)


@pytest.mark.parametrize("bet", [0, 4, 16])
@pytest.mark.parametrize("mean", [-0.3, 0.0, 0.3])
def test_each_bet_is_fair(bet: int, mean: float) -> None:
    """The expected wealth after one observation is 1 at the bound itself, by summing over all that can happen."""
    low, high = (0.5 - mean) / 2, (0.5 + mean) / 2
    returns = 1 + BETS[bet] * (VALUES - mean) / (mean + 1)
    assert float(returns @ [low, 0.5, high]) == pytest.approx(1)
    assert (returns > 0).all()
