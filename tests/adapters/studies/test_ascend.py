"""How far ``ascend`` goes, by a session whose runs have the losses that a test says."""

from collections.abc import Mapping, Sequence
from typing import Any

from lorarack.adapters.recipe import make_recipe
from lorarack.adapters.studies.plan import StudyPlan
from lorarack.adapters.studies.records import Losses, RunRecord, Source
from lorarack.adapters.training.fit import Fit

ROWS = 40


class Session:
    """A round is 25 steps of 100; ``rounds``: by rank, the losses that its rounds come to."""

    def __init__(self, rounds: Mapping[int, Sequence[float]]) -> None:
        self.plan = StudyPlan(strategy="ascend", ranks=tuple(rounds))
        self.recipe = make_recipe({"name": "a", "base": "b", "data": "rows.jsonl"})
        self.trained: list[str] = []
        self._left = {rank: list(losses) for rank, losses in rounds.items()}

    def steps(self) -> int:
        return 100

    def round(self, rank: int, number: int, rate: float = 1.0) -> Any:
        return rate

    def grown(self, run: RunRecord, rank: int) -> tuple[str, float]:
        return f"grown from {run.key}", run.eval_loss

    def end(self, run: RunRecord) -> tuple[str, float]:
        return f"on from {run.key}", run.eval_loss

    def train(
        self,
        key: str,
        rank: int,
        source: Source = "trained",
        recipe: Any = None,
        start: tuple[str, float] | None = None,
        parent: RunRecord | None = None,
        before: RunRecord | None = None,
    ) -> RunRecord:
        said = f"{key} {start[0]}" if start else key
        self.trained.append(f"{said}, rate {recipe}" if recipe not in (None, 1.0) else said)
        loss = min(self._left[rank].pop(0), start[1] if start else 9.0)
        steps = (25 if recipe else 100) + (before.steps if before else 0)
        sums = tuple(loss + 0.001 * (row % 2) for row in range(ROWS))
        return RunRecord(
            key=key,
            rank=rank,
            source=source,
            fit=_fit(loss),
            losses=Losses(sums=sums, tokens=(1,) * ROWS),
            train_losses=Losses(sums=sums, tokens=(1,) * ROWS),
            seconds=1.0,
            rate=1e-3,
            steps=steps,
        )


def _fit(loss: float) -> Fit:
    return Fit(
        verdict="good",
        reason="",
        best_step=1,
        train_loss=loss,
        eval_loss=loss,
        base_loss=9.0,
        gap=0.0,
        gap_error=0.0,
        perplexity=1.0,
    )


def ascended(rounds: Mapping[int, Sequence[float]]) -> list[str]:
    """What is trained, in order."""
    from lorarack.adapters.studies.ascend import ascend

    session: Any = Session(rounds)
    ascend(session)
    return session.trained


def test_rounds_go_on_for_as_long_as_one_brings_the_margin() -> None:
    """At most as many as a whole run has, each from where the last one ended; the recommended rank once from the beginning."""
    trained = ascended({1: [2.0], 2: [1.5, 1.2, 1.0, 0.9, 0.1]})
    assert trained == [
        "trained-r1",
        "warm-r2 grown from trained-r1",
        "warm-r2-2 on from warm-r2",
        "warm-r2-3 on from warm-r2-2",
        "warm-r2-4 on from warm-r2-3",
        "trained-r2",
    ]


def test_a_round_that_brings_less_is_the_last() -> None:
    """The next rank begins from it, or from the round before where no step made that better."""
    trained = ascended({1: [2.0], 2: [1.5, 1.6], 4: [1.0, 0.999, 1.0], 8: [1.2] * 3, 16: [1.2] * 3})
    assert trained[1:6] == [
        "warm-r2 grown from trained-r1",
        "warm-r2-2 on from warm-r2",
        "warm-r4 grown from warm-r2",
        "warm-r4-2 on from warm-r4",
        "warm-r8 grown from warm-r4-2",
    ]


def test_one_rank_without_improvement_is_not_the_end() -> None:
    """The step to it can be hidden by noise; after two in a row no more is tried."""
    hidden = ascended({1: [2.0], 2: [2.0, 2.0], 4: [1.5, 1.5, 1.5], 8: [1.5, 1.5], 16: [1.5, 1.5], 32: [1.0]})
    assert [key.split()[0] for key in hidden] == [
        *(
            "trained-r1",
            "warm-r2",
            "warm-r2-2",
            "warm-r4",
            "warm-r4-2",
            "warm-r8",
            "warm-r8-2",
            "warm-r16",
            "warm-r16-2",
        ),
        "trained-r4",
    ]
    stopped = ascended({1: [2.0], 2: [2.0, 2.0], 4: [2.0, 2.0], 8: [1.0]})
    assert [key.split()[0] for key in stopped] == ["trained-r1", "warm-r2", "warm-r2-2", "warm-r4", "warm-r4-2"]


def test_a_first_round_that_ends_above_its_beginning_is_made_again_at_a_lower_rate() -> None:
    """Where the last rank has learned its rows, the whole rate undoes it. Later rounds keep the lower rate."""
    trained = ascended({1: [1.0], 2: [1.2, 0.9, 0.899], 4: [0.88] * 3})
    assert trained[1:5] == [
        "warm-r2 grown from trained-r1",
        "warm-r2-2 grown from trained-r1, rate 0.3",
        "warm-r2-3 on from warm-r2-2, rate 0.3",
        "warm-r4 grown from warm-r2-3",
    ]
    neither = ascended({1: [1.0], 2: [1.2, 1.3], 4: [1.1, 1.1]})
    assert neither[3:] == ["warm-r4 grown from trained-r1", "warm-r4-2 grown from trained-r1, rate 0.3"]


def test_a_rank_that_brings_nothing_is_shown_and_not_published() -> None:
    """It would be a lower rank's copy in more columns."""
    from lorarack.adapters.studies.ascend import ascend

    session: Any = Session({1: [2.0], 2: [2.1, 2.1], 4: [1.0, 1.0, 1.0, 1.0], 8: [1.1, 1.1]})
    assert {(run.rank, run.source): run.weights for run in ascend(session)} == {
        (1, "trained"): True, (2, "warm"): False, (4, "warm"): True, (4, "trained"): True, (8, "warm"): False,
    }  # fmt: skip
