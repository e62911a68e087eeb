"""Studies over several seeds: what seeds say together, and that asking for more of them trains only what is missing."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.adapters.studies.test_recommend import run
from tests.json_schemas import hold

from lorarack.adapters.recipe import Recipe
from lorarack.adapters.studies.recommend import recommend
from lorarack.adapters.studies.seeds import interval, losses_by_rank
from lorarack.registry import Registry
from lorarack.registry.errors import UsageError


def test_an_interval_over_seeds_is_students() -> None:
    """For 1, 2, 3: mean 2, and 4.303 standard errors to each side (t of two degrees of freedom)."""
    found = interval([1.0, 2.0, 3.0])
    assert (found.mean, found.low, found.high) == pytest.approx((2.0, 2 - 4.303 / 3**0.5, 2 + 4.303 / 3**0.5), abs=1e-3)


def test_a_rank_that_one_seed_calls_worse_is_not_recommended() -> None:
    """The first seed alone has the low rank as good as the high one; another one disagrees, and the reason says so."""
    first = [run(2, 0), run(8, 0)]
    assert recommend(first, 0.01).run.rank == 2
    agreeing = [[run(2, 0.001), run(8, 0)], [run(2, 0), run(8, 0)]]
    assert recommend(first, 0.01, agreeing).run.rank == 2
    differing = [[run(2, 0.02), run(8, 0)], [run(2, -0.01), run(8, 0)]]
    found = recommend(first, 0.01, differing)
    assert found.run.rank == 8
    assert "3 seeds" in found.reason


def test_a_rank_that_a_seed_lacks_is_no_candidate_and_shown_as_missing() -> None:
    families = [[run(2, 0.2), run(4, 0.1), run(8, 0.0)], [run(2, 0.2), run(4, 0.1)]]
    assert losses_by_rank(families)[8] == (families[0][2].eval_loss, None)
    assert recommend(families[0], 0.01, families[1:]).run.rank == 4


@pytest.mark.torch
def test_more_seeds_train_only_what_is_missing(
    registry: Registry, recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    """The family of the recipe's seed is published; each rank has its loss by seed, with an interval over them."""
    from tests.adapters.studies.test_study import Heard

    from lorarack.adapters.studies.run import study

    made = recipe(ranks=[1, 2], seed=3)
    alone = study(made, registry, folder=tmp_path / "studies")
    assert (alone.seeds, {line.over_seeds for line in alone.ranks}) == ((3,), {None})
    heard = Heard()
    report = study(made, registry, heard, seeds=3, folder=tmp_path / "studies")
    hold("study", report.to_json())
    assert (report.study, report.seeds) == (alone.study, (3, 4, 5))
    assert heard.runs
    published = {version.provenance.seed for version in report.versions if version.provenance}
    assert published == {3}
    for line in report.ranks:
        assert len(line.seed_losses) == 3
        assert line.over_seeds is not None
        assert line.over_seeds.low <= line.over_seeds.mean <= line.over_seeds.high
    assert len({line.seed_losses for line in report.ranks}) == 2
    again = Heard()
    assert study(made, registry, again, seeds=3, folder=tmp_path / "studies").to_json() == report.to_json()
    assert again.runs == []


@pytest.mark.torch
def test_a_study_may_choose_its_learning_rate(
    registry: Registry, recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    """Once, before the ranks; the report says how, and a grid is laid around it."""
    from lorarack.adapters.studies.run import study

    made = recipe(ranks=[1, 2], max_steps=120, learning_rate="auto")
    report = study(made, registry, folder=tmp_path / "studies")
    rates = report.learning_rates
    assert rates.source == "probed"
    assert rates.probe is not None
    assert rates.probe.rank == 2
    assert {line.learning_rate for line in report.ranks} == {rates.probe.rate}
    again = study(made, registry, folder=tmp_path / "studies")
    assert again.learning_rates == rates
    grid = study(made, registry, strategy="grid", ranks=(1,), folder=tmp_path / "studies")
    assert grid.learning_rates.source == "grid"
    assert grid.learning_rates.probe is not None
    assert "its best of" in grid.learning_rates.reason


@pytest.mark.torch
def test_a_given_rate_is_said_to_be_the_only_one_tried(
    registry: Registry, recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    from lorarack.adapters.studies.run import study

    report = study(recipe(ranks=[1, 2]), registry, folder=tmp_path / "studies")
    assert report.learning_rates.source == "given"
    assert "not tried" in report.learning_rates.reason


@pytest.mark.parametrize("seeds", [0, 101])
def test_seeds_are_counted_within_reason(registry: Registry, recipe: Callable[..., Recipe], seeds: int) -> None:
    from lorarack.adapters.studies.run import study

    with pytest.raises(UsageError, match="1 to 100 seeds"):
        study(recipe(), registry, seeds=seeds)
