"""How long a run is, and when it validates."""

import pytest

from lorarack.adapters.recipe import make_recipe
from lorarack.adapters.training.plan import make_plan, rate_at


@pytest.mark.parametrize(
    ("settings", "rows", "steps"),
    [
        ({"epochs": 1, "batch_size": 8}, 80, 10),
        ({"epochs": 1, "batch_size": 8}, 81, 11),
        ({"epochs": 2.5, "batch_size": 8}, 80, 25),
        ({"epochs": 1, "batch_size": 4, "gradient_accumulation": 2}, 80, 10),
        ({"epochs": 0.001}, 80, 1),
        ({"epochs": 9, "max_steps": 7}, 80, 7),
    ],
)
def test_steps_follow_from_rows_and_epochs(settings: dict[str, object], rows: int, steps: int) -> None:
    assert make_plan(make_recipe({"name": "a", "base": "b", "data": "c", **settings}), rows).steps == steps


def test_the_last_step_is_always_validated() -> None:
    """Whatever ``eval_every`` is, the finished adapter has a loss on the validation rows."""
    recipe = make_recipe({"name": "a", "base": "b", "data": "c", "max_steps": 10, "eval_every": 4})
    plan = make_plan(recipe, 80)
    assert [step for step in range(1, 11) if plan.validates_at(step)] == [4, 8, 10]


def test_curves_stay_short_and_validations_few_by_default() -> None:
    plan = make_plan(make_recipe({"name": "a", "base": "b", "data": "c", "max_steps": 10_000}), 80)
    assert plan.steps // plan.log_every <= 200
    assert plan.steps // plan.eval_every == 5


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
def test_no_step_is_without_a_rate(schedule: str) -> None:
    """The rate rises to its peak, never again above it, and is positive from the first step to the last."""
    plan = make_plan(make_recipe({"name": "a", "base": "b", "data": "c", "max_steps": 20, "warmup": 0.2}), 80)
    rates = [rate_at(step, plan, schedule) for step in range(plan.steps)]
    assert min(rates) > 0
    assert rates[:5] == sorted(rates[:5])
    assert rates[4] == max(rates) == 1
    assert rates[4:] == sorted(rates[4:], reverse=True)
    single = make_plan(make_recipe({"name": "a", "base": "b", "data": "c", "max_steps": 1}), 80)
    assert rate_at(0, single, schedule) > 0
