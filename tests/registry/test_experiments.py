"""Experiments from Python and the command line: what is planned, what a verdict leads to, what people see."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.command_line import lorarack
from tests.tiny import tiny_adapter, tiny_base

from lorarack.registry import Registry, open_registry
from lorarack.registry.errors import Conflict, GateRefused
from lorarack.registry.experiment.observed import Answer
from lorarack.registry.experiment.shadow import ShadowResult
from lorarack.registry.experiment.values import Experiment


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """support@1 of rank 4, support@2 of rank 16, support@3 of rank 2; prod names the second.

    The salt is fixed: who falls into which arm decides how soon there is a verdict.
    """
    monkeypatch.setattr("lorarack.registry.experiments.secrets.token_hex", "5a".__mul__)
    monkeypatch.setenv("LORARACK_REGISTRY", str(tmp_path / "home"))
    with open_registry(tmp_path / "home") as opened:
        opened.add_base(str(tiny_base(tmp_path / "base")), "tiny")
        for number, rank in enumerate((4, 16, 2), 1):
            opened.publish(tiny_adapter(tmp_path / f"in{number}", seed=number, rank=rank), "support", base="tiny")
        opened.set_alias("support", "prod", 2)
        yield opened


def begin(registry: Registry, arms: tuple[tuple[str, float], ...] = (("1", 50), ("2", 50)), **more: Any) -> Experiment:
    experiments = registry.experiments
    return experiments.start(experiments.plan("support", "prod", arms, **more))


def serve(registry: Registry, experiment: Experiment, means: dict[str, float], requests: int, seed: int = 1) -> None:
    """So many callers ask once each, and say whether the answer was good."""
    rng, experiments = np.random.default_rng(seed), registry.experiments
    for number in range(requests):
        arm = experiment.assign(f"caller {seed} {number}").name
        completion = f"{experiment.id} {seed} {number}"
        known = {"caller": f"{seed} {number}", "key": "k", "seconds": {"ttft": 0.1}}
        experiments.record([Answer(experiment=experiment.id, arm=arm, completion=completion, **known)])
        experiments.add_feedback(completion, "k", experiment.plan.metric, float(rng.random() < means[arm]))


def test_the_reference_is_what_the_alias_names(registry: Registry) -> None:
    planned = registry.experiments.plan("support", "prod", [("r4", 90), ("support@2", 10)])
    assert [(arm.name, arm.weight) for arm in planned.arms] == [("2", 10), ("1", 90)]
    assert registry.experiments.list() == ()


def test_earlier_scores_are_the_pilot_of_the_next(registry: Registry) -> None:
    """Few scores, or scores of another version, promise nothing."""
    first = begin(registry)
    assert first.plan.pilot.mean == 0.5
    serve(registry, first, {"1": 1.0, "2": 1.0}, 10)
    registry.experiments.stop("support", "prod")
    assert begin(registry).plan.needed == first.plan.needed
    second = registry.experiments.list()[0]
    serve(registry, second, {"1": 1.0, "2": 1.0}, 100)
    registry.experiments.stop("support", "prod")
    third = begin(registry)
    assert 0.9 < (third.plan.pilot.mean or 0) < 1
    assert (third.plan.needed or 0) < (first.plan.needed or 0) / 3
    assert third.plan.limit == 5 * (third.plan.needed or 0)


def test_the_cheapest_that_is_not_worse_is_recommended_and_promoted(registry: Registry) -> None:
    experiment = begin(registry, margin=0.2)
    with pytest.raises(GateRefused):
        registry.experiments.promote("support", "prod")
    serve(registry, experiment, {"1": 0.97, "2": 0.97}, 250)
    reviewed = registry.experiments.review(experiment.id)
    assert reviewed.arms[1].state == "not_worse"
    status = registry.experiments.status("support", "prod")
    assert (status.recommended, status.mismatch) == ("1", False)
    assert -0.2 < status.looks[-1].low < status.looks[-1].high < 0.2
    registry.experiments.promote("support", "prod", reason="as good, a quarter of the rank")
    assert registry.resolve("support@prod").number == 1
    assert registry.snapshot().experiments == {}


def test_a_dearer_challenger_must_be_better_by_more_than_the_margin(registry: Registry) -> None:
    """Where both are as good, what is cheaper stays, though the challenger is not worse."""
    registry.set_alias("support", "prod", 1)
    experiment = begin(registry, margin=0.2)
    serve(registry, experiment, {"1": 0.97, "2": 0.97}, 250)
    assert registry.experiments.review(experiment.id).arms[1].state == "not_worse"
    assert registry.experiments.status("support", "prod").recommended == "1"


def test_a_worse_arm_is_stopped_and_its_callers_get_the_reference(registry: Registry) -> None:
    experiment = begin(registry, (("1", 40), ("2", 40), ("3", 20)))
    serve(registry, experiment, {"1": 0.2, "2": 0.95, "3": 0.95}, 200)
    reviewed = registry.experiments.review(experiment.id)
    assert [arm.stopped is None for arm in reviewed.arms] == [True, False, True]
    assert reviewed.arms[1].state == "worse"
    for number in range(500):
        before, after = (each.assign(f"user {number}").name for each in (experiment, reviewed))
        assert after == ("2" if before == "1" else before)
    event = next(event for event in registry.events() if event.kind == "experiment_arm_stopped")
    assert "worse than 2 by more than the margin" in str(event.detail["reason"])
    assert reviewed.shares == {"2": 80, "1": 0, "3": 20}
    assert (experiment.pair_share("2", "1"), reviewed.pair_share("3", "2")) == (0.5, 0.2)


def test_guards_stop_an_arm_and_say_why(registry: Registry) -> None:
    experiment = begin(registry, guards=["error_rate<0.05", "ttft_p95<1.5x"])
    answers = []
    for number in range(300):
        arm = "1" if number % 2 else "2"
        seconds = {"ttft": 1.0 if arm == "1" else 0.1}
        known = {"arm": arm, "caller": f"c{number}", "key": "k", "seconds": seconds}
        answers.append(Answer(experiment=experiment.id, completion=f"a{number}", **known))
    registry.experiments.record(answers)
    stopped = registry.experiments.review(experiment.id).arms[1].stopped
    assert stopped is not None
    assert stopped.startswith("guard ttft_p95<1.5x: 1")


def test_one_that_is_ended_without_a_verdict_is_undecided(registry: Registry) -> None:
    experiment = begin(registry)
    assert experiment.state == "running"
    ended = registry.experiments.stop(experiment.adapter, experiment.alias)
    listed = registry.experiments.list()[0]
    for each in (ended, listed):
        assert (each.state, each.to_json()["arms"][1]["state"]) == ("undecided", "undecided")


def test_a_version_may_be_compared_with_itself(registry: Registry) -> None:
    experiment = begin(registry, (("2", 50), ("2", 50)))
    assert [arm.name for arm in experiment.arms] == ["2", "2b"]
    assigned = {experiment.assign(f"user {number}").name for number in range(50)}
    assert assigned == {"2", "2b"}


def test_callers_that_fall_otherwise_than_the_weights_are_a_mismatch(registry: Registry) -> None:
    experiment = begin(registry)
    known = {"arm": "1", "key": "k"}
    answers = [Answer(experiment=experiment.id, caller=f"c{n}", completion=f"a{n}", **known) for n in range(60)]
    registry.experiments.record(answers)
    assert registry.experiments.status("support", "prod").mismatch
    shown = lorarack("experiment", "status", "support@prod")
    assert "trust none of these figures" in shown.out


def test_undecided_at_the_limit(registry: Registry) -> None:
    experiment = begin(registry, limit=20)
    serve(registry, experiment, {"1": 0.5, "2": 0.5}, 20)
    assert registry.experiments.review(experiment.id).state == "undecided"


def test_what_people_see(registry: Registry) -> None:
    """Forecast before the start, a table and a plot while it runs, and what promotion did."""
    begun = lorarack("experiment", "start", "support@prod", "--arm", "1=50", "--arm", "2=50", "--margin", "0.2")
    assert begun.code == 0
    assert begun.err.startswith("About ")
    assert "requests with feedback will show that an arm as good as the reference is not worse by 0.2" in begun.err
    assert begun.out == "support@prod is split between version 2 (50 %), version 1 (50 %)\n"
    experiment = registry.experiments.list()[0]
    for seed, requests in enumerate((20, 40, 100, 200)):
        serve(registry, experiment, {"1": 0.97, "2": 0.97}, requests, seed)
        registry.experiments.review(experiment.id)
    shown = lorarack("experiment", "status", "support@prod").out
    assert "Recommended: 1" in shown
    assert "1 minus 2, 20 to 360 scored requests" in shown
    assert "│" in shown
    assert "•" in shown
    listed = lorarack("experiment", "list").out
    assert "support@prod" in listed
    assert "not_worse" in listed
    kept = lorarack("experiment", "promote", "support@prod")
    assert kept.out == "support@prod now names version 1 (was 2)\n"


def shadowed(registry: Registry, experiment: Experiment, requests: int, differing: float, seed: int = 1) -> None:
    """As ``serve``, and the other arm answers as well: the same, or another answer. All that differ are right by chance."""
    rng, experiments = np.random.default_rng(seed), registry.experiments
    for number in range(requests):
        arm = experiment.assign(f"caller {number}").name
        other = next(each.name for each in experiment.arms if each.name != arm)
        known: dict[str, Any] = {"experiment": experiment.id, "arm": arm, "completion": f"{seed} {number}"}
        same = bool(rng.random() >= differing)
        result = ShadowResult(other=other, share=experiment.pair_share(arm, other), same=same, text="x", **known)
        experiments.record([Answer(caller=f"{number}", key="k", **known)], [result])
        experiments.add_feedback(known["completion"], "k", "thumbs", float(rng.random() < (0.8 if same else 0.5)))


def test_pairs_decide_with_a_fraction_of_the_requests(registry: Registry) -> None:
    """What is promised at the start counts on shadows only once there were some; so does what status says."""
    experiment = begin(registry, margin=0.1)
    assert registry.experiments.status("support", "prod").pairs_needed is None
    shadowed(registry, experiment, 200, 0.05)
    assert registry.experiments.review(experiment.id).arms[1].state == "not_worse"
    status = registry.experiments.status("support", "prod")
    assert (status.recommended, status.shadows_waiting, status.shadow.recorded) == ("1", 0, 200)
    assert status.looks[-1].pairs == 200
    assert 0 < (status.pairs_needed or 0) < 300
    shown = lorarack("experiment", "status", "support@prod").out
    assert "Shadow answers to 200 requests: 200 recorded (" in shown.replace("\n", " ")
    assert "scored pairs decide it" in shown.replace("\n", " ")
    assert "not to the end" in lorarack("experiment", "answers", "support@prod").out.replace("\n", " ")
    registry.experiments.stop("support", "prod")
    again = lorarack("experiment", "start", "support@prod", "--arm", "1=50", "--arm", "2=50", "--margin", "0.1").err
    assert "That counts on shadow answers" in again
    assert (registry.experiments.list()[0].plan.needed or 0) < (experiment.plan.needed or 0) / 5


def test_without_shadows_nothing_is_said_of_them(registry: Registry) -> None:
    begun = lorarack("experiment", "start", "support@prod", "--arm", "1=50", "--arm", "2=50", "--no-shadow")
    assert "differ" not in begun.err
    assert "Shadow" not in lorarack("experiment", "status", "support@prod").out
    assert json.loads(lorarack("experiment", "status", "support@prod", "--json").out)["shadows"] is None
    assert registry.experiments.list()[0].alpha == 0.05


def test_a_worse_version_is_found_in_the_answers_that_differ(registry: Registry) -> None:
    experiment = begin(registry, margin=0.05)
    experiments, rng = registry.experiments, np.random.default_rng(0)
    for number in range(150):
        arm = experiment.assign(f"caller {number}").name
        other = "1" if arm == "2" else "2"
        known: dict[str, Any] = {"experiment": experiment.id, "arm": arm, "completion": str(number)}
        same = bool(rng.random() < 0.6)
        experiments.record([Answer(caller=f"{number}", key="k", **known)])
        experiments.add_feedback(str(number), "k", "thumbs", float(same or arm == "2"))
        experiments.record([], [ShadowResult(other=other, share=0.5, same=same, **known)])
    reviewed = experiments.review(experiment.id)
    assert (reviewed.arms[1].state, reviewed.arms[1].stopped is None) == ("worse", False)


def test_a_dry_run_starts_nothing(registry: Registry) -> None:
    arguments = ("experiment", "start", "support@prod", "--arm", "1=50", "--arm", "2=50", "--dry-run", "--json")
    assert set(json.loads(lorarack(*arguments).out)) == {"requests_needed", "limit"}
    assert registry.experiments.list() == ()


def test_nothing_starts_while_another_runs(registry: Registry) -> None:
    planned = registry.experiments.plan("support", "prod", [("1", 50), ("2", 50)])
    registry.experiments.start(planned)
    with pytest.raises(Conflict):
        registry.experiments.start(planned)
