"""Which ranks ``ladder`` trains further, by a session whose runs have the losses that a test says."""

from collections.abc import Mapping
from typing import Any

import pytest

pytest.importorskip("torch")

from lorarack.adapters.studies import ladder as module
from lorarack.adapters.studies.plan import StudyPlan
from lorarack.adapters.studies.records import Losses, RunRecord, Source
from lorarack.adapters.training.fit import Fit

ROWS = 40


def run(rank: int, loss: float, source: Source) -> RunRecord:
    losses = Losses(sums=tuple(loss + 0.001 * (row % 2) for row in range(ROWS)), tokens=(1,) * ROWS)
    fit = Fit(
        verdict="good", reason="", best_step=1, train_loss=loss, eval_loss=loss, base_loss=9, gap=0, gap_error=0, perplexity=1
    )  # fmt: skip
    return RunRecord(
        key=f"{source}-r{rank}", rank=rank, source=source, fit=fit, losses=losses, train_losses=losses, seconds=1.0, rate=1e-3,
    )  # fmt: skip


class Session:
    """``looked``: by rank, what its truncation has, and the highest rank's own loss; ``recovered``: what more training comes to."""

    def __init__(self, looked: Mapping[int, float], recovered: Mapping[int, float]) -> None:
        self.plan = StudyPlan(ranks=tuple(looked))
        self.looked = looked
        self._recovered = recovered

    def shorter(self, share: float, rate: float) -> str:
        return f"{share} at {rate}"

    def cut(self, top: RunRecord, looked: RunRecord) -> None:
        return None

    def truncated(self, looked: RunRecord, top: RunRecord) -> RunRecord:
        return looked.model_copy(update={"key": f"truncated-r{looked.rank}"})

    def train(self, key: str, rank: int, source: Source = "trained", *_: Any) -> RunRecord:
        return run(rank, self._recovered[rank] if source == "recovered" else self.looked[rank], source)


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What a ladder ends with, by rank."""

    def look(session: Any, top: RunRecord) -> list[RunRecord]:
        return [
            run(rank, loss, "truncated").model_copy(update={"key": f"looked-r{rank}"})
            for rank, loss in session.looked.items()
            if rank < top.rank
        ]

    monkeypatch.setattr(module, "look", look)

    def climb(looked: Mapping[int, float], recovered: Mapping[int, float]) -> dict[int, str]:
        session: Any = Session(looked, recovered)
        return {run.rank: run.key.partition("-")[0] for run in module.ladder(session)}

    return climb


def test_from_the_knee_down_until_one_stays_worse(found: Any) -> None:
    looked = {1: 1.9, 2: 1.4, 4: 1.1, 8: 1.005, 16: 1.0}
    assert found(looked, {4: 1.004, 2: 1.2}) == {
        1: "looked", 2: "recovered", 4: "recovered", 8: "truncated", 16: "trained"
    }  # fmt: skip


def test_a_rank_far_below_the_knee_is_not_trained_anew(found: Any) -> None:
    assert found({1: 1.6, 2: 1.02, 4: 1.0}, {2: 1.001}) == {1: "looked", 2: "recovered", 4: "trained"}


def test_a_rank_counts_as_lost_beside_the_best_candidate(found: Any) -> None:
    """Where the highest rank has learned rows by heart, its own loss hides what a low rank lost."""
    looked = {1: 1.27, 2: 1.193, 4: 1.164, 8: 1.163, 16: 1.1825, 32: 1.19}
    assert found(looked, {2: 1.165, 1: 1.178}) == {
        1: "recovered", 2: "recovered", 4: "truncated", 8: "truncated", 16: "truncated", 32: "trained"
    }  # fmt: skip


def test_ranks_above_the_best_are_not_trained_further(found: Any) -> None:
    """More steps would learn more by heart, and the ranks below them are still tried."""
    assert found({2: 1.05, 4: 1.0, 8: 1.1, 16: 1.2}, {2: 1.001}) == {
        2: "recovered", 4: "truncated", 8: "truncated", 16: "trained"
    }  # fmt: skip


def test_a_gain_within_its_error_is_none(found: Any) -> None:
    assert found({4: 1.02, 8: 1.0}, {4: 1.02}) == {4: "truncated", 8: "trained"}
