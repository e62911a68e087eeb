"""What is said of a rank that was looked at: on all rows, or on a sample of them beside candidates that were measured on all."""

import pytest

pytest.importorskip("torch")

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from lorarack.adapters.studies.look import SAMPLE, TRAIN_SAMPLE, looked_fit
from lorarack.adapters.studies.records import RunRecord, losses_of
from lorarack.adapters.training.fit import Fit, Validation, judge
from lorarack.adapters.training.row_losses import RowLosses, evenly


def rows(*sums: float) -> RowLosses:
    return RowLosses(sums=sums, tokens=(2,) * len(sums))


def both(losses: RowLosses) -> Validation:
    return Validation(step=1, train=losses, validation=losses)


TOP = judge([both(rows(8, 8)), both(rows(4, 4))], lambda step: 1.0)


def candidate(rank: int, losses: RowLosses) -> RunRecord:
    return RunRecord(
        key=f"looked-r{rank}", rank=rank, source="truncated", fit=TOP, losses=losses_of(losses), train_losses=losses_of(losses),
        seconds=1.0, rate=1e-3,
    )  # fmt: skip


def sampled(losses: RowLosses, rank: int, candidates: dict[int, RowLosses]) -> Fit:
    """Of a rank with ``losses``, of which only the sample's are measured."""
    measured = Validation(1, losses.sample(TRAIN_SAMPLE), losses.sample(SAMPLE))
    known = {rank: candidate(rank, losses) for rank, losses in candidates.items()}
    return looked_fit(TOP, measured, rank, known)


def hard(factor: float) -> RowLosses:
    """Of 100 rows that are harder from row to row."""
    return rows(*(factor * (1 + row) for row in range(100)))


def test_on_all_rows_it_is_what_was_measured() -> None:
    fit = looked_fit(TOP, Validation(1, rows(1, 1), rows(2, 4)))
    assert (fit.train_loss, fit.eval_loss, fit.gap) == pytest.approx((0.5, 1.5, 1.0))
    assert fit.perplexity == pytest.approx(2.718281828**1.5)


@given(st.floats(0.1, 10), st.integers(1, 40))
def test_a_rank_that_is_as_a_candidate_on_the_sample_has_its_loss_on_all_rows(factor: float, rank: int) -> None:
    """Also below the lowest candidate, where there is nothing to go between."""
    fit = sampled(hard(factor), rank, {8: hard(1.0), 16: hard(0.5), 40: hard(0.4)})
    assert fit.eval_loss == pytest.approx(hard(factor).mean)
    assert fit.train_loss == pytest.approx(hard(factor).mean)


def test_between_two_candidates_there_is_no_step() -> None:
    """Rows on which one rank fails and the next does not are not all in the sample: its share changes from rank to rank."""
    low, high = rows(*([9.0] + [1.0] * 99)), rows(*([1.0] * 100))
    just_above, just_below = sampled(low, 9, {8: low, 64: high}), sampled(high, 63, {8: low, 64: high})
    assert just_above.eval_loss == pytest.approx(low.mean, rel=0.05)
    assert just_below.eval_loss == pytest.approx(high.mean, rel=0.05)
    middle = sampled(low, 23, {8: low, 64: high}).eval_loss
    assert low.mean < middle < low.sample(SAMPLE).mean


def test_a_sample_of_loss_0_tells_nothing() -> None:
    assert sampled(rows(0.2, 0.2), 2, {4: rows(0, 0)}).eval_loss == pytest.approx(0.1)


@given(st.integers(1, 300), st.integers(1, 300))
def test_a_sample_is_drawn_evenly_and_is_never_larger(count: int, wanted: int) -> None:
    found = evenly(range(count), wanted)
    assert found[0] == 0
    assert len(found) <= wanted
    assert len({after - before for before, after in pairwise(found)}) <= 1
    assert 2 * len(found) >= min(count, wanted)
