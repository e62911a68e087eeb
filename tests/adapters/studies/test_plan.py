"""What a study looks at, and its name."""

import pytest

from lorarack.adapters.recipe import make_recipe
from lorarack.adapters.studies.plan import StudyPlan, doublings, plan_study

RECIPE = {"name": "letters", "base": "tiny", "data": "rows.jsonl", "learning_rate": 0.01}


def test_every_low_rank_is_looked_at_and_enough_of_the_high_ones() -> None:
    assert StudyPlan(ranks=(8,)).looked_at() == (1, 2, 3, 4, 5, 6, 7)
    many = StudyPlan(ranks=(17, 64)).looked_at()
    assert many[:17] == tuple(range(1, 18))
    assert many[17:] == (18, 20, 22, 24, 26, 28, 30, 32, 36, 40, 44, 48, 52, 56, 60)


def test_candidates_come_from_the_recipe() -> None:
    several = make_recipe({**RECIPE, "ranks": [16, 4]})
    assert plan_study(several, "ladder", 0.01, (), ()).ranks == (4, 16)
    assert plan_study(make_recipe({**RECIPE, "ranks": 12}), "ladder", 0.01, (), ()).ranks == (1, 2, 4, 8, 12)
    assert plan_study(several, "ladder", 0.01, (8, 2), ()).ranks == (2, 8)
    assert plan_study(several, "grid", 0.01, (), ()).rates == pytest.approx((0.00316, 0.01, 0.0316), rel=0.01)
    assert doublings(1) == (1,)
