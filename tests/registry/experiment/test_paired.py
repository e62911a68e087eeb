"""What pairs say of two arms: how often it is wrong, counted; what it is held against; how few requests it takes."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lorarack.registry.experiment.evidence import BETS, Floats
from lorarack.registry.experiment.paired import PairedScores, Stratum, Sums
from lorarack.registry.experiment.requests_needed import pairs_needed, requests_needed
from lorarack.registry.experiment.scores import Scores
from lorarack.registry.experiment.sequence import ConfidenceSequence

LEVEL = math.log(2 / 0.05)
SHARES = pytest.mark.parametrize("share", [0.5, 0.1, 0.8])
KINDS = pytest.mark.parametrize("graded", [False, True], ids=["right or wrong", "graded"])


def paired(served: list[tuple[float, bool, bool]], share: float, *, graded: bool = False) -> PairedScores:
    """Of (score, same, of_challenger) each."""
    found = PairedScores(graded=graded)
    for score, same, of_challenger in served:
        found = found.observe(score, share, same=same, of_challenger=of_challenger)
    return found


def draw(rng: np.random.Generator, count: int, share: float, differing: float, good: tuple[float, float]) -> Floats:
    """Columns: score, same, of the challenger. ``good``: of its answers and the reference's, where they differ."""
    same, mine = rng.random(count) >= differing, rng.random(count) < share
    right = rng.random(count) < np.where(same, 0.9, np.where(mine, *good))
    return np.stack([right, same, mine], axis=1)


def sums(rows: Floats, share: float) -> PairedScores:
    """The same as observing row by row."""

    def side(which: NDArray[np.bool_]) -> Sums:
        return Sums(count=int(which.sum()), total=float((rows[:, 0] - 0.5)[which].sum()), squares=0.25 * which.sum())

    same, mine = rows[:, 1] > 0, rows[:, 2] > 0
    stratum = Stratum(share=share, same=int(same.sum()), challenger=side(~same & mine), reference=side(~same & ~mine))
    return PairedScores(strata=(stratum,))


@SHARES
@KINDS
@pytest.mark.parametrize("bet", [0, 6, 16])
def test_each_bet_is_fair(share: float, graded: bool, bet: int) -> None:
    """At the true difference the expected wealth after one pair is 1, or less where it is graded, over all that can happen."""
    differing, good = 0.3, (0.8, 0.4)
    truth, expected = differing * (good[0] - good[1]), 0.0
    for same, mine, right in product((True, False), repeat=3):
        rate = 0.7 if same else good[0] if mine else good[1]
        chance = (1 - differing if same else differing) * (share if mine else 1 - share) * (rate if right else 1 - rate)
        found = paired([(float(right), same, mine)], share, graded=graded).strata[0]
        expected += chance * math.exp(float(found.log_wealths_above(truth, graded=graded)[bet]))
    assert expected <= 1 + 1e-9
    if not graded:
        assert expected == pytest.approx(1)


@SHARES
@KINDS
@given(
    served=st.lists(st.tuples(st.sampled_from([0.0, 1.0]), st.booleans(), st.booleans()), max_size=25),
    bound=st.floats(-0.9, 0.9),
)
def test_the_wealth_is_what_the_bettor_has_after_betting_one_by_one(
    share: float, graded: bool, served: list[tuple[float, bool, bool]], bound: float
) -> None:
    """The closed form over sums against the game itself; graded scores earn no more than that game."""
    largest, wealths = 0.5 / min(share, 1 - share), np.ones(len(BETS))
    for score, same, mine in served:
        x = 0.0 if same else (score - 0.5) / share if mine else (0.5 - score) / (1 - share)
        wealths *= 1 + BETS * (x - bound) / (bound + largest)
    found = paired(served, share, graded=graded).log_above(bound)
    if not graded:
        assert found == pytest.approx(math.log(wealths.mean()), abs=1e-6)
    else:
        assert math.isfinite(found)


@SHARES
@pytest.mark.parametrize("margin", [0.0, 0.02])
def test_a_challenger_that_is_worse_by_just_the_margin_is_rarely_called_not_worse(share: float, margin: float) -> None:
    """Looked at after every tenth pair; answers that differ are worth 0.5 more or less than the margin says."""
    runs, length, differing, wrong = 150, 500, 0.05, 0
    good = (0.5 - margin / differing / 2, 0.5 + margin / differing / 2)
    for seed in range(runs):
        rows = draw(np.random.default_rng(seed), length, share, differing, good)
        wrong += any(sums(rows[:count], share).log_above(-margin) >= LEVEL for count in range(10, length, 10))
    assert wrong / runs <= 0.05 + 4 * math.sqrt(0.05 * 0.95 / runs)


@SHARES
@KINDS
def test_the_two_arms_are_treated_alike(share: float, graded: bool) -> None:
    rows = draw(np.random.default_rng(3), 400, share, 0.2, (0.9, 0.3))
    one = PairedScores(graded=graded, strata=sums(rows, share).strata)
    sequence, mirrored = ConfidenceSequence().look_at_pairs(one), ConfidenceSequence().look_at_pairs(one.swapped())
    assert [sequence.low, sequence.high] == pytest.approx([-mirrored.high, -mirrored.low])
    assert one.difference == pytest.approx(-(one.swapped().difference or 0))
    assert sequence.low < 0.12 < sequence.high


def test_weights_may_change() -> None:
    """Each share counts by its own range; together they narrow the interval further than the larger part alone."""
    before = draw(np.random.default_rng(1), 300, 0.1, 0.1, (0.5, 0.5))
    after = draw(np.random.default_rng(2), 300, 0.5, 0.1, (0.5, 0.5))
    both = PairedScores(strata=(*sums(before, 0.1).strata, *sums(after, 0.5).strata))
    assert both.count == 600
    assert both.lower_bound(LEVEL) > max(sums(before, 0.1).lower_bound(LEVEL), sums(after, 0.5).lower_bound(LEVEL))


@KINDS
def test_answers_that_are_always_the_same_decide_and_nothing_at_all_does_not(graded: bool) -> None:
    assert PairedScores(graded=graded).log_above(-0.05) == 0
    assert PairedScores().difference is None
    same = paired([(1.0, True, True)] * 300, 0.5, graded=graded)
    assert same.lower_bound(LEVEL) > -0.05
    assert same.lower_bound(LEVEL) < 0 < -same.swapped().lower_bound(LEVEL)


def test_arms_that_differ_in_few_answers_take_a_sixth_of_the_requests() -> None:
    pilot = Scores(count=1, total=0.8, deviation=0.16)
    for share in (0.5, 0.1):
        split, pairs = requests_needed(pilot, (1 - share, share), 0.05), pairs_needed(0.05, share, 0.05)
        assert split is not None
        assert pairs is not None
        assert pairs <= split / 6


@SHARES
def test_the_promised_number_of_pairs_is_about_what_it_takes(share: float) -> None:
    promised, took = pairs_needed(0.1, share, 0.05), []
    assert promised is not None
    for seed in range(9):
        rows, count = draw(np.random.default_rng(seed), 8 * promised, share, 0.1, (0.5, 0.5)), promised // 4
        while count < 8 * promised and sums(rows[:count], share).lower_bound(LEVEL) <= -0.05:
            count = int(1.1 * count)
        took.append(count)
    assert 0.5 < promised / float(np.median(took)) < 2
