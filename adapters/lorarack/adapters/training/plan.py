"""How many steps a run takes, and when it validates and logs."""

import math
from dataclasses import dataclass

from lorarack.adapters.recipe import MAX_STEPS, Recipe
from lorarack.registry.errors import UsageError

_VALIDATIONS = 5
_CURVE_POINTS = 200


@dataclass(frozen=True, slots=True)
class Plan:
    """Counts of optimiser steps."""

    steps: int
    warmup_steps: int
    eval_every: int
    log_every: int

    def validates_at(self, step: int) -> bool:
        """Whether the loss on the validation rows is measured after ``step``; always after the last one."""
        return step % self.eval_every == 0 or step == self.steps


def make_plan(recipe: Recipe, train_rows: int, processes: int = 1) -> Plan:
    """The plan of a run of ``recipe`` over ``train_rows`` rows, dealt out to ``processes``.

    Raises:
        UsageError: more steps than any run takes.
    """
    in_epoch = math.ceil(train_rows / (recipe.batch_size * recipe.gradient_accumulation * processes))
    steps = recipe.max_steps or max(1, math.ceil(recipe.epochs * in_epoch))
    if steps > MAX_STEPS:
        raise UsageError(
            f"{recipe.epochs:g} epochs of {train_rows} rows are {steps} steps, and a run takes at most {MAX_STEPS}; "
            "lower epochs or say max_steps.",
            code="too_many_steps",
        )
    return Plan(
        steps=steps,
        warmup_steps=math.ceil(recipe.warmup * steps),
        eval_every=recipe.eval_every or math.ceil(steps / _VALIDATIONS),
        log_every=math.ceil(steps / _CURVE_POINTS),
    )


def rate_at(step: int, plan: Plan, schedule: str) -> float:
    """The learning rate of a step (counted from 0) as a share of the peak: up in equal parts, then down towards 0.

    Unlike the usual schedules it starts above zero and ends above zero: a step without a rate would be a step lost.
    """
    if step < plan.warmup_steps:
        return (step + 1) / (plan.warmup_steps + 1)
    if schedule == "constant":
        return 1.0
    done = (step - plan.warmup_steps) / max(1, plan.steps - plan.warmup_steps)
    return (1 + math.cos(math.pi * done)) / 2 if schedule == "cosine" else 1 - done


def rate_spent(step: int, plan: Plan, schedule: str) -> float:
    """The share of the whole run's learning rate that is used up after ``step`` steps."""
    rates = [rate_at(place, plan, schedule) for place in range(plan.steps)]
    return math.fsum(rates[:step]) / math.fsum(rates)
