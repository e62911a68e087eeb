"""The recommended rank: the lowest that is not worse than the best by the margin, on paired losses."""

import random

import pytest

pytest.importorskip("scipy")

from lorarack.adapters.studies.recommend import recommend
from lorarack.adapters.studies.records import Losses, RunRecord
from lorarack.adapters.training.fit import Fit


def run(rank: int, worse: float, rows: int = 200, noise: float = 0.01, weights: bool = True) -> RunRecord:
    """A run whose loss on every row is higher than 1 by about ``worse``; rows differ in length and difficulty."""
    draw, own = random.Random(0), random.Random(rank)
    tokens = [draw.randint(3, 30) for _ in range(rows)]
    sums = [count * draw.uniform(0.5, 1.5) * (1 + worse) * (1 + own.gauss(0, noise)) for count in tokens]
    loss = sum(sums) / sum(tokens)
    fit = Fit(
        verdict="good", reason="good", best_step=1, train_loss=loss, eval_loss=loss, base_loss=3, gap=0, gap_error=0, perplexity=1
    )  # fmt: skip
    losses = Losses(sums=tuple(sums), tokens=tuple(tokens))
    return RunRecord(
        key=f"trained-r{rank}", rank=rank, source="trained", fit=fit, losses=losses, train_losses=losses, seconds=1, rate=0.1,
        weights=weights,
    )  # fmt: skip


def test_the_lowest_rank_within_the_margin() -> None:
    found = recommend([run(1, 0.2), run(4, 0.03), run(8, 0.002), run(16, 0.0)], 0.01)
    assert found.run.rank == 8
    assert "rank 8 is not worse by 1.0% than rank 16" in found.reason
    assert "rank 1, 4 is worse" in found.reason


def test_a_wider_margin_takes_a_lower_rank() -> None:
    assert recommend([run(1, 0.2), run(4, 0.03), run(16, 0.0)], 0.05).run.rank == 4


def test_the_best_where_all_lower_ones_are_worse() -> None:
    found = recommend([run(1, 0.2), run(4, 0.1), run(16, 0.0)], 0.01)
    assert found.run.rank == 16
    assert found.reason.startswith("rank 16 has the lowest validation loss")


def test_rows_too_few_to_tell_are_said() -> None:
    """A rank that only seems as good is not taken; the reason says how many rows would tell."""
    found = recommend([run(4, 0.0, rows=8, noise=0.2), run(16, 0.001, rows=8, noise=0.2)], 0.01)
    assert "validation rows would decide" in found.reason


def test_ranks_that_were_only_looked_at_are_no_choice() -> None:
    assert recommend([run(1, -0.1, weights=False), run(4, 0.0)], 0.01).run.rank == 4
