"""Which version is kept."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorarack.adapters.comparison.candidates import Candidate
from lorarack.adapters.comparison.intervals import wilson
from lorarack.adapters.comparison.verdict import decide
from lorarack.registry.errors import UsageError


def line(
    rank: int, scores: Sequence[float], *, loss: float | None = 0.1, number: int | None = None, cut_off: int = 0
) -> Candidate:
    return Candidate(
        model=f"orders@{number or rank}" if rank else "smol",
        rank=rank,
        scores=tuple(scores),
        score=wilson(scores),
        cut_off=cut_off,
        validation_loss=loss,
        parameters=1000 * rank,
        bytes=4000 * rank,
    )


def rights(right: int, rows: int = 96) -> list[float]:
    return [1.0] * right + [0.0] * (rows - right)


def test_the_larger_rank_is_kept_when_it_is_better_beyond_noise() -> None:
    verdict = decide([line(4, rights(72)), line(16, rights(84))], binary=True)
    assert (verdict.keep, verdict.best, verdict.against) == ("orders@16", "orders@16", "orders@4")
    assert verdict.reason == (
        "Keep orders@16 (rank 16): it answers 12 more of 96 rows right (84 against 72) than orders@4 (rank 4), "
        "beyond noise (+12.5 points, 95 % CI +5.2 to +19.3, p = 0.00049)."
    )
    assert verdict.warnings == ()


def test_the_smaller_rank_is_kept_when_the_rows_cannot_tell_them_apart() -> None:
    verdict = decide([line(16, rights(84)), line(4, rights(82))], binary=True)
    assert (verdict.keep, verdict.best, verdict.against) == ("orders@4", "orders@16", "orders@4")
    assert verdict.reason == (
        "Keep orders@4 (rank 4): 96 rows show no gain of orders@16 (rank 16) over it beyond noise "
        "(+2.1 points, 95 % CI -1.9 to +6.0, p = 0.5), and it has 25 % of the parameters."
    )


def test_the_smaller_rank_is_kept_when_it_is_the_better_one() -> None:
    verdict = decide([line(4, rights(90)), line(16, rights(60))], binary=True)
    assert verdict.keep == "orders@4"
    assert "the cheapest, and it scores more than orders@16" in verdict.reason
    assert "no less than" in decide([line(4, rights(90)), line(16, rights(90))], binary=True).reason


def test_of_three_the_smallest_that_the_best_does_not_beat() -> None:
    lines = [line(4, rights(50)), line(8, rights(80)), line(32, rights(83))]
    verdict = decide(lines, binary=True)
    assert (verdict.keep, verdict.best) == ("orders@8", "orders@32")
    assert verdict.difference.interval.confidence == pytest.approx(0.975), "two comparisons share the five per cent"


def test_of_one_rank_the_lower_validation_loss_breaks_the_tie() -> None:
    verdict = decide([line(8, rights(80), loss=0.3, number=1), line(8, rights(79), loss=0.2, number=2)], binary=True)
    assert (verdict.keep, verdict.best) == ("orders@2", "orders@1")
    assert "its validation loss is the lower one (0.2000 against 0.3000)" in verdict.reason


def test_a_version_that_does_not_beat_the_base_is_said_not_to() -> None:
    verdict = decide([line(0, rights(78)), line(4, rights(80)), line(16, rights(81))], binary=True)
    assert verdict.keep == "orders@4"
    assert "beats the bare base" in verdict.warnings[0]
    assert decide([line(0, rights(10)), line(4, rights(80)), line(16, rights(81))], binary=True).warnings == ()


def test_a_base_that_answered_fewer_rows_is_paired_with_those() -> None:
    """Of 96 rows the base got each fourth, and was right where the version is: no gain shown."""
    ranked = [line(4, [1.0, 0.0, 0.0, 0.0] * 24), line(16, [1.0, 0.0, 0.0, 0.0] * 24)]
    base = line(0, [1.0] * 24).model_copy(update={"stride": 4})
    assert "(+0.0 points" in decide([base, *ranked], binary=True).warnings[0]


def test_answers_that_were_cut_off_are_mentioned() -> None:
    verdict = decide([line(4, rights(80), cut_off=3), line(16, rights(81))], binary=True)
    assert "3 of orders@4 (rank 4)" in verdict.warnings[0]


def test_one_version_and_the_base_are_no_comparison() -> None:
    with pytest.raises(UsageError, match="two versions"):
        decide([line(0, rights(1)), line(4, rights(2))], binary=True)


outcomes = st.lists(st.sampled_from([0.0, 1.0]), min_size=40, max_size=40)


@given(
    st.lists(
        st.tuples(st.sampled_from([2, 4, 8, 16, 32]), outcomes), min_size=2, max_size=4, unique_by=lambda pair: pair[0]
    )
)
def test_the_verdict_does_not_depend_on_the_order_and_never_keeps_a_dearer_one_without_cause(
    drawn: list[tuple[int, list[float]]],
) -> None:
    """Whatever is kept, nothing cheaper is as good as the best, and the best is not better beyond noise."""
    lines = [line(rank, scores) for rank, scores in drawn]
    verdict = decide(lines, binary=True)
    assert decide(lines[::-1], binary=True) == verdict
    kept = next(found for found in lines if found.model == verdict.keep)
    best = next(found for found in lines if found.model == verdict.best)
    assert best.score.mean == max(found.score.mean for found in lines)
    assert kept.cost <= best.cost
    assert kept is best or not verdict.difference.interval.excludes_zero
    assert kept.model in verdict.reason
