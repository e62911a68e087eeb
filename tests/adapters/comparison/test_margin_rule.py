"""Which version is recommended."""

from collections.abc import Sequence

import numpy as np
import pytest
from benchmarks.simulated_scores import right_or_wrong
from hypothesis import given, settings
from hypothesis import strategies as st

from lorarack.adapters.comparison.margin_rule import judge
from lorarack.adapters.comparison.paired import RightOrWrong
from lorarack.adapters.comparison.score_table import ScoreTable
from lorarack.adapters.comparison.verdict import Verdict
from lorarack.adapters.comparison.words import sentence
from lorarack.registry.errors import UsageError


def rights(right: int, rows: int = 96) -> list[float]:
    return [1.0] * right + [0.0] * (rows - right)


def decide(*columns: Sequence[float], margin: float = 0.05, known: bool = True, losses: bool = False) -> Verdict:
    """Versions a@1, a@2 … in order of cost."""
    names = tuple(f"a@{number}" for number in range(1, len(columns) + 1))
    costs = {name: 2.0**place for place, name in enumerate(names)} if known else None
    return judge(ScoreTable(names, np.array(columns, dtype=float).T, losses=losses), margin, costs)


def test_a_cheaper_version_that_is_not_worse_is_recommended() -> None:
    verdict = decide(rights(880, 1000), rights(885, 1000))
    assert (verdict.recommended, verdict.best, verdict.answer, verdict.rows_needed) == ("a@1", "a@2", "not_worse", None)
    assert sentence(verdict).startswith(
        "a@1 is recommended: it is not worse than a@2 by 5 points (-0.5 points, 95 % bounds"
    )
    assert sentence(verdict).endswith("and costs 50 %.")


def test_the_dearer_one_is_recommended_when_the_cheaper_is_worse() -> None:
    verdict = decide(rights(60), rights(84))
    assert (verdict.recommended, verdict.best, verdict.answer) == ("a@2", "a@2", "worse")
    assert sentence(verdict).startswith(
        "a@2 is recommended: a@1 is worse by more than 5 points (-25.0 points, 95 % bounds"
    )


def test_nothing_is_recommended_when_the_rows_are_too_few() -> None:
    """Ten rows, three right against seven; and 96 rows, 7.3 points apart."""
    few = decide([1.0] * 3 + [0.0] * 7, [0.0] * 2 + [1.0] * 7 + [0.0])
    assert (few.recommended, few.best, few.answer) == (None, "a@2", "undecided")
    apart = [1.0] * 70 + [0.0] * 16 + [1.0] * 4 + [0.0] * 6, [1.0] * 70 + [1.0] * 11 + [0.0] * 15
    verdict = decide(*apart)
    assert (verdict.recommended, verdict.answer) == (None, "undecided")
    assert verdict.rows_needed is not None
    assert 300 < verdict.rows_needed < 500
    said = sentence(verdict)
    assert said.startswith("Not enough rows to tell: +7.3 points for a@2 over a@1 (95 % bounds")
    assert said.endswith(f"about {verdict.rows_needed} rows would decide a 5-point margin.")


def test_ten_equal_rows_decide_nothing() -> None:
    for column in (rights(10, 10), rights(0, 10), rights(5, 10), [0.5] * 10):
        verdict = decide(column, column)
        assert (verdict.recommended, verdict.answer) == (None, "undecided")
        assert verdict.best == "a@1", "among equals the cheapest"
        assert verdict.rows_needed is not None
        assert verdict.rows_needed >= 59


def test_near_the_margin_the_rows_needed_are_many() -> None:
    """Of 400 rows 22 are lost and none is won: worse for sure, but by more or by less than five points?"""
    verdict = decide(rights(300, 400), rights(322, 400))
    assert verdict.answer == "undecided"
    assert verdict.rows_needed is not None
    assert verdict.rows_needed > 4_000
    assert f"about {verdict.rows_needed:,} rows would decide" in sentence(verdict)


def test_about_that_many_rows_do_decide() -> None:
    """Equally good versions: with the rows that were asked for about 80 % of comparisons are decided."""
    source = np.random.default_rng(5)
    few = right_or_wrong(source, 96, 2, 0.15, 0.0)
    needed = decide(few[:, 1].tolist(), few[:, 0].tolist()).rows_needed
    assert needed is not None
    tables = (right_or_wrong(source, needed, 2, 0.15, 0.0) for _ in range(200))
    decided = sum(
        RightOrWrong(int((s[:, 1] > s[:, 0]).sum()), int((s[:, 1] < s[:, 0]).sum()), needed).p_value(-0.05) <= 0.05
        for s in tables
    )
    assert 0.7 < decided / 200 < 0.95


def test_two_perfect_versions_need_59_rows() -> None:
    assert decide(rights(59, 59), rights(59, 59)).recommended == "a@1"
    assert decide(rights(58, 58), rights(58, 58)).recommended is None


def test_a_cheaper_undecided_version_keeps_a_dearer_one_from_being_recommended() -> None:
    """The question is the cheapest; a@2 is not worse, but a@1 may not be either."""
    cheap = rights(185, 200)
    verdict = decide(cheap, rights(198, 200), rights(199, 200))
    assert [version.against_best.answer for version in verdict.versions] == ["undecided", "not_worse", "not_worse"]
    assert (verdict.recommended, verdict.answer) == (None, "undecided")


def test_of_three_the_cheapest_that_is_not_worse() -> None:
    verdict = decide(rights(100, 400), rights(380, 400), rights(382, 400))
    assert (verdict.recommended, verdict.best, verdict.answer) == ("a@2", "a@3", "not_worse")


def test_without_costs_only_the_best_can_be_recommended() -> None:
    verdict = decide(rights(395, 400), rights(390, 400), known=False)
    assert (verdict.recommended, verdict.versions[0].cost) == ("a@1", None)
    assert decide(rights(390, 400), rights(395, 400), known=False).recommended == "a@2"


def test_losses_are_judged_by_their_share() -> None:
    source = np.random.default_rng(3)
    loss = source.gamma(4.0, 0.1, 300)
    near, far = loss * source.normal(1.002, 0.02, 300), loss * 1.3
    verdict = decide(near.tolist(), loss.tolist(), margin=0.02, losses=True)
    assert (verdict.recommended, verdict.best) == ("a@1", "a@2")
    assert verdict.versions[0].against_best.difference == pytest.approx(-0.002, abs=0.003)
    assert decide(far.tolist(), loss.tolist(), margin=0.02, losses=True).answer == "worse"


@pytest.mark.parametrize("margin", [0, -0.1, 1, 5, float("nan"), float("inf")])
def test_a_margin_that_is_none_is_refused(margin: float) -> None:
    with pytest.raises(UsageError, match="is no margin"):
        decide(rights(1), rights(2), margin=margin)


def test_one_version_is_no_comparison() -> None:
    with pytest.raises(UsageError, match="two versions"):
        decide(rights(1))


def test_it_is_quick_with_many_rows() -> None:
    """Not by the clock of a busy machine: the exact test leaves to the normal one where that is exact enough."""
    source = np.random.default_rng(0)
    columns = [(source.random(40_000) < 0.9).astype(float).tolist() for _ in range(3)]
    assert decide(*columns).rows == 40_000


graded = st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=25, max_size=25)
binary = st.lists(st.sampled_from([0.0, 1.0]), min_size=25, max_size=25)


@settings(max_examples=40, deadline=None)
@given(st.one_of(st.lists(graded, min_size=2, max_size=4), st.lists(binary, min_size=2, max_size=4)))
def test_p_bounds_and_answers_never_disagree(columns: list[list[float]]) -> None:
    for margin in (0.05, 0.3):
        verdict = decide(*columns, margin=margin)
        for version in verdict.versions:
            gap = version.against_best
            assert gap.low <= gap.difference <= gap.high
            assert version.low <= version.score <= version.high
            assert (gap.p <= 0.05) == (gap.low > -margin) == (gap.answer == "not_worse")
            assert (gap.high < -margin) == (gap.answer == "worse")
        best = verdict.of(verdict.best)
        assert best.against_best.difference == 0
        assert best.score == max(version.score for version in verdict.versions)
        assert (verdict.recommended is None) == (verdict.answer == "undecided") == (verdict.rows_needed is not None)
        if verdict.recommended:
            assert verdict.of(verdict.recommended).against_best.answer == "not_worse"
            cheaper = verdict.versions[: verdict.versions.index(verdict.of(verdict.recommended))]
            assert all(version.against_best.answer == "worse" for version in cheaper)
        assert sentence(verdict)
