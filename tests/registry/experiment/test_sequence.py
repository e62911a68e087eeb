"""The interval of the difference between two arms: how often it is wrong, counted; and how many requests it takes."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorarack.registry.errors import UsageError
from lorarack.registry.experiment.requests_needed import requests_needed
from lorarack.registry.experiment.scores import Scores
from lorarack.registry.experiment.sequence import ConfidenceSequence, log_difference_above, lower_bound

pytestmark = pytest.mark.thorough

LEVEL = math.log(2 / 0.05)
KINDS = pytest.mark.parametrize("graded", [False, True], ids=["right or wrong", "graded"])


def scored(graded: bool, right: int, wrong: int) -> Scores:
    """Rights and wrongs, as evenly mixed as they can be."""
    scores, count = Scores(graded=graded), right + wrong
    for number in range(count):
        scores = scores.observe(float((number + 1) * right // count - number * right // count))
    return scores


@KINDS
def test_before_anything_is_scored_anything_is_possible(graded: bool) -> None:
    sequence = ConfidenceSequence().look(Scores(graded=graded), Scores(graded=graded))
    assert [sequence.low, sequence.high] == pytest.approx([-1, 1], abs=0.01)


@KINDS
def test_the_interval_narrows_around_the_difference_and_never_widens(graded: bool) -> None:
    sequence = ConfidenceSequence()
    for size in (10, 100, 1000, 4000):
        before = sequence
        sequence = sequence.look(scored(graded, 9 * size // 10, size // 10), scored(graded, 8 * size // 10, size // 5))
        assert before.low <= sequence.low < 0.1 < sequence.high <= before.high
    assert sequence.low > 0.05
    assert sequence.high < 0.15


@KINDS
def test_the_two_arms_are_treated_alike(graded: bool) -> None:
    one, other = scored(graded, 150, 50), scored(graded, 500, 300)
    sequence, mirrored = ConfidenceSequence().look(one, other), ConfidenceSequence().look(other, one)
    assert [sequence.low, sequence.high] == pytest.approx([-mirrored.high, -mirrored.low])


@KINDS
@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 300), st.integers(0, 300), st.floats(-0.99, 0.99))
@settings(max_examples=60, deadline=None)
def test_evidence_is_never_more_than_that_of_any_pair_of_means(
    graded: bool, right: int, wrong: int, others_right: int, others_wrong: int, bound: float
) -> None:
    """What makes it valid: it is at most the product of two wealths, whichever means the arms truly have."""
    challenger, reference = scored(graded, right, wrong), scored(graded, others_right, others_wrong)
    found = log_difference_above(challenger, reference, bound)
    means = np.linspace(0, 1, 57)
    pairs = np.logaddexp(0, reference.log_below(means)) - math.log(2) + challenger.log_above(means + bound)
    assert found <= pairs.min() + 1e-9


def test_an_interval_of_equal_arms_rarely_leaves_out_0() -> None:
    """Looked at after every tenth score, with arms of any share: at most 5 %, and four standard errors."""
    runs, length, missed = 120, 600, 0
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        on_arm, good = rng.random(length) < rng.choice([0.1, 0.5]), rng.random(length) < rng.choice([0.5, 0.9])
        counts = [np.cumsum(each) for each in (on_arm, on_arm & good, ~on_arm, ~on_arm & good)]
        for look in range(9, length, 10):
            count, total, others, others_total = (int(each[look]) for each in counts)
            one, other = Scores(count=count, total=total), Scores(count=others, total=others_total)
            if max(log_difference_above(one, other, 0), log_difference_above(other, one, 0)) >= LEVEL:
                missed += 1
                break
    assert missed / runs <= 0.05 + 4 * math.sqrt(0.05 * 0.95 / runs)


@pytest.mark.parametrize(("mean", "share"), [(0.5, 0.5), (0.9, 0.5), (0.8, 0.1)])
def test_the_promised_number_of_requests_is_about_what_it_takes(mean: float, share: float) -> None:
    margin, took = 0.1, []
    promised = requests_needed(Scores(count=1, total=mean, deviation=mean * (1 - mean)), (1 - share, share), margin)
    assert promised is not None
    for seed in range(9):
        rng, count = np.random.default_rng(seed), promised // 4
        on_arm, good = rng.random(8 * promised) < share, rng.random(8 * promised) < mean
        while count < 8 * promised:
            arm, right = on_arm[:count], good[:count]
            one = Scores(count=int(arm.sum()), total=int((arm & right).sum()))
            other = Scores(count=int((~arm).sum()), total=int((~arm & right).sum()))
            if lower_bound(one, other, LEVEL) > -margin:
                break
            count = int(1.1 * count)
        took.append(count)
    assert 0.5 < promised / float(np.median(took)) < 2


@KINDS
@pytest.mark.parametrize("score", [-0.1, 1.1, 2, math.nan])
def test_a_score_out_of_range_is_refused(graded: bool, score: float) -> None:
    with pytest.raises(UsageError, match="is no value of this metric"):
        Scores(graded=graded).observe(score)


def test_a_score_in_between_is_only_for_graded_metrics() -> None:
    assert Scores(graded=True).observe(0.5).mean == 0.5
    with pytest.raises(UsageError, match="give 0 or 1"):
        Scores().observe(0.5)
