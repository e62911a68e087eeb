"""A run that begins with a trained adapter ends with the better of both."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")

from lorarack.adapters.ranks.weights import read_weights
from lorarack.adapters.recipe import Recipe
from lorarack.adapters.training.inputs import read_inputs
from lorarack.adapters.training.loaded_base import LoadedBase, open_base
from lorarack.adapters.training.progress import Silent
from lorarack.adapters.training.train_rank import Outcome, Start, train_rank
from lorarack.registry import Registry

pytestmark = pytest.mark.torch


@pytest.fixture
def base(recipe: Callable[..., Recipe], registry: Registry) -> LoadedBase:
    return open_base(read_inputs(recipe(), registry), Silent())


def first(base: LoadedBase, folder: Path) -> tuple[Outcome, Start]:
    """A run, and what goes on from its end."""
    outcome = train_rank(base, base.inputs.recipe, 4, folder, Silent())
    return outcome, Start(read_weights(folder, "first").factors, replace(outcome.best, step=0))


def test_steps_that_make_it_worse_are_undone(base: LoadedBase, tmp_path: Path) -> None:
    """The weights, the losses and the verdict are those of the start; the curve shows where the steps led."""
    outcome, start = first(base, tmp_path / "first")
    wild = base.inputs.recipe.model_copy(update={"learning_rate": 0.9, "max_steps": 4, "eval_every": 4})
    went_on = train_rank(base, wild, 4, tmp_path / "second", Silent(), start)
    assert went_on.fit.best_step == 0
    assert went_on.fit.eval_loss == outcome.fit.eval_loss
    kept = read_weights(tmp_path / "second", "second").factors
    assert all(
        kept[module].a.equal(found.a) and kept[module].b.equal(found.b) for module, found in start.factors.items()
    )
    curve = {
        m.step: m.value for m in went_on.metrics if (m.name, m.split) == ("loss", "validation") and m.step is not None
    }
    assert set(curve) == {0, 4}
    assert curve[4] > curve[0] == outcome.fit.eval_loss


def test_steps_that_make_it_better_count(base: LoadedBase, tmp_path: Path) -> None:
    """One validation at the end is enough for a verdict: the start is another."""
    _, start = first(base, tmp_path / "first")
    longer = base.inputs.recipe.model_copy(update={"max_steps": 20, "eval_every": 20})
    went_on = train_rank(base, longer, 4, tmp_path / "second", Silent(), start)
    assert went_on.fit.best_step == 20
    assert went_on.fit.eval_loss < start.measured.validation.mean
    assert "one validation" not in went_on.fit.reason
    kept = read_weights(tmp_path / "second", "second").factors
    assert not all(kept[module].b.equal(found.b) for module, found in start.factors.items())
