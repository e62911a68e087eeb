"""What a study does, as data: it decides the study's name, so that the same command goes on with the same study."""

import hashlib
import json
import math
from typing import Literal, Self

from pydantic import Field, model_validator

from lorarack.adapters.recipe import Recipe
from lorarack.adapters.training.inputs import Inputs
from lorarack.registry.value import Value

Strategy = Literal["ladder", "ascend", "grid"]

#: Every rank up to this one is looked at by truncation; above it about eight in each doubling.
EVERY_RANK = 16
#: Of a whole run's steps: what a truncated rank is recovered in, and a round of a rank that goes on from a lower one.
RECOVERY, ROUND = 0.2, 0.25


class StudyPlan(Value):
    """A study. ``ranks`` are those that may be published; the last is the highest."""

    strategy: Strategy = "ladder"
    ranks: tuple[int, ...] = Field(min_length=1)
    margin: float = Field(default=0.01, gt=0, lt=1, description="a loss higher by this share counts as not worse")
    share: float = Field(
        default=RECOVERY, gt=0, le=1, description="of a whole run's steps, for ranks that start from another"
    )
    rates: tuple[float, ...] = Field(default=(), description="learning rates of a grid")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if list(self.ranks) != sorted(set(self.ranks)) or not all(1 <= rank <= 512 for rank in self.ranks):
            raise ValueError("ranks rise, and are 1 to 512")
        return self

    @property
    def top(self) -> int:
        """The highest rank."""
        return self.ranks[-1]

    def looked_at(self) -> tuple[int, ...]:
        """The ranks below the top whose loss is measured by truncation."""
        step = [max(1, 2 ** (rank.bit_length() - 4)) if rank > EVERY_RANK else 1 for rank in range(self.top)]
        return tuple(rank for rank in range(1, self.top) if rank % step[rank] == 0 or rank in self.ranks)

    def name(self, inputs: Inputs) -> str:
        """The adapter and what decides the study: its plan, the recipe, the base and the rows."""
        decided = {"plan": self.to_json(), "family": inputs.family, "alpha": _alphas(self, inputs.recipe)}
        digest = hashlib.sha256(json.dumps(decided, sort_keys=True).encode()).hexdigest()
        return f"{inputs.recipe.name.replace('/', '-')}-{digest[:12]}"


def plan_study(
    recipe: Recipe, strategy: Strategy, margin: float, ranks: tuple[int, ...], rates: tuple[float, ...]
) -> StudyPlan:
    """The plan for a recipe: ``ranks``, else the recipe's if it names several, else the powers of two up to its one."""
    if not ranks:
        ranks = recipe.ranks if len(recipe.ranks) > 1 else doublings(recipe.ranks[0])
    if strategy == "grid" and not rates:
        rates = () if recipe.learning_rate == "auto" else rates_around(recipe.peak_rate)
    share = ROUND if strategy == "ascend" else RECOVERY
    return StudyPlan(strategy=strategy, ranks=tuple(sorted(set(ranks))), margin=margin, share=share, rates=rates)


def rates_around(rate: float) -> tuple[float, ...]:
    """A rate, a third of it and three times it."""
    return tuple(min(1.0, rate * factor) for factor in (1 / math.sqrt(10), 1.0, math.sqrt(10)))


def doublings(top: int) -> tuple[int, ...]:
    """1, 2, 4 … and ``top``."""
    return tuple(sorted({*(2**power for power in range(top.bit_length()) if 2**power < top), top}))


def _alphas(plan: StudyPlan, recipe: Recipe) -> list[float]:
    return [recipe.alpha_of(rank) for rank in plan.ranks]
