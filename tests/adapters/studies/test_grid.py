"""Which runs of a grid are given up, by a session whose runs have the losses that a test says."""

import math
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from lorarack.adapters.recipe import make_recipe
from lorarack.adapters.studies.plan import StudyPlan
from lorarack.adapters.training.fit import Validation
from lorarack.adapters.training.progress import Silent
from lorarack.adapters.training.row_losses import RowLosses
from lorarack.registry.errors import EngineError


class Session:
    """Runs of two validations; ``losses``: by rank and rate, the same at both."""

    def __init__(self, losses: Mapping[tuple[int, float], float]) -> None:
        ranks, rates = ({place[axis]: None for place in losses} for axis in (0, 1))
        self.plan = StudyPlan(strategy="grid", ranks=tuple(ranks), rates=tuple(rates))
        self.recipe = make_recipe({"name": "a", "base": "b", "data": "rows.jsonl"})
        self.progress = Silent()
        self.folder = SimpleNamespace(find=lambda key: None)
        self.given_up: list[tuple[int, float]] = []
        self._losses = losses

    def train(self, key: str, rank: int, recipe: Any, give_up: Callable[[Validation], bool]) -> Any:
        place = rank, recipe.learning_rate
        if math.isinf(self._losses[place]):
            raise EngineError("Training diverged at step 10: …", code="diverged")
        found = RowLosses((self._losses[place],), (1,))
        for step in (10, 20):
            if give_up(Validation(step, found, found)):
                self.given_up.append(place)
                break
        return SimpleNamespace(rank=rank, rate=recipe.learning_rate, eval_loss=self._losses[place], metrics=())


def given_up(losses: Mapping[tuple[int, float], float]) -> tuple[list[tuple[int, float]], list[tuple[int, float]]]:
    """Which runs are given up, and the rank and rate of those that are held."""
    from lorarack.adapters.studies.grid import grid

    session: Any = Session(losses)
    return session.given_up, [(run.rank, run.rate) for run in grid(session)]


def test_no_rank_is_given_up_because_others_are_better() -> None:
    """Cut short, a rank would look worse than it is, and it is ranks that are to be told apart."""
    ended, held = given_up({(rank, 0.01): 1.0 + rank / 100 for rank in (1, 2, 4, 8, 16)})
    assert ended == []
    assert held == [(rank, 0.01) for rank in (1, 2, 4, 8, 16)]


def test_a_rate_is_given_up_against_the_others_of_its_rank() -> None:
    """Also where it is better than every rate of another rank."""
    losses = {(2, 0.03): 5.0, (2, 0.01): 4.0, (2, 0.001): 4.1, (8, 0.03): 2.0, (8, 0.01): 1.0, (8, 0.001): 3.0}
    ended, held = given_up(losses)
    assert ended == [(8, 0.001)]
    assert held == [(2, 0.01), (8, 0.01)]


def test_a_rate_at_which_training_diverges_is_left_out() -> None:
    """The others of its rank are as good as before; where none is left the study cannot go on."""
    ended, held = given_up(
        {(2, 0.01): 4.0, (2, 0.03): math.inf, (2, 0.001): 3.0, (4, 0.01): math.inf, (4, 0.03): 2.0, (4, 0.001): 2.5}
    )
    assert ended == []
    assert held == [(2, 0.001), (4, 0.03)]
    with pytest.raises(EngineError, match="Training diverged"):
        given_up({(2, 0.01): 1.0, (4, 0.01): math.inf})
