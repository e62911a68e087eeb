"""Every catalog: experiments, what is observed of them, and what they hold."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from tests.registry.contract.catalog_values import put
from tests.registry.contract.catalogs import Opener

from lorarack.registry import State
from lorarack.registry.errors import Conflict, NotFound, UsageError
from lorarack.registry.experiment.observed import Answer, Look
from lorarack.registry.experiment.review import Review
from lorarack.registry.experiment.scores import Scores
from lorarack.registry.experiment.values import Arm, Experiment, NewExperiment, Plan
from lorarack.registry.experiment.verdict import ExperimentState
from lorarack.registry.interface import Catalog


def begin(catalog: Catalog, metric: str = "thumbs") -> Experiment:
    """An experiment on support@prod, between versions 1 and 2."""
    if not catalog.has_adapter("support"):
        for _ in range(3):
            put(catalog)
        catalog.set_alias("ann", "support", "prod", 1)
    return catalog.experiments.start("ann", new(metric))


def new(metric: str = "thumbs") -> NewExperiment:
    plan = Plan(metric=metric, margin=0.05, limit=100, needed=20, pilot=Scores(), guards=("error_rate<0.02",), salt="s")
    arms = (Arm(name="1", version=1, weight=90), Arm(name="2", version=2, weight=10))
    return NewExperiment(adapter="support", alias="prod", plan=plan, arms=arms)


def answer(ident: int, completion: str, arm: str = "2", **more: object) -> Answer:
    known = {"experiment": ident, "arm": arm, "caller": "c1", "key": "team", "completion": completion}
    return Answer.model_validate({**known, **more})


def test_an_experiment_is_kept_as_it_was_started(catalog: Catalog, open_catalog: Opener) -> None:
    begun = begin(catalog)
    assert open_catalog().experiments.list("support", "prod") == (begun,)
    assert (begun.plan, begun.arms) == (new().plan, new().arms)
    assert begun.ended_at is None
    assert catalog.events(0, 1000)[-1].kind == "experiment_started"
    assert catalog.experiments.list("support", "default") == ()
    with pytest.raises(NotFound):
        catalog.experiments.observed(99)


def test_there_is_one_at_a_time_on_an_alias(catalog: Catalog, open_catalog: Opener) -> None:
    begin(catalog)
    with pytest.raises(Conflict) as raised:
        open_catalog().experiments.start("bob", new())
    assert raised.value.code == "experiment_running"


def test_it_does_not_start_where_the_alias_has_moved_or_an_arm_is_not_ready(catalog: Catalog) -> None:
    first = begin(catalog)
    catalog.experiments.end("ann", first.id, None)
    catalog.set_state("ann", "support", 2, State.QUARANTINED, "bad")
    with pytest.raises(Conflict) as raised:
        begin(catalog)
    assert raised.value.code == "not_ready"
    catalog.set_alias("ann", "support", "prod", 3)
    with pytest.raises(Conflict) as raised:
        begin(catalog)
    assert raised.value.code == "stale_expect"
    assert len(catalog.experiments.list()) == 1


def test_while_it_runs_its_alias_stays_and_its_versions_are_held(catalog: Catalog) -> None:
    running = begin(catalog)
    with pytest.raises(Conflict, match="experiment stop support@prod"):
        catalog.set_alias("ann", "support", "prod", 3)
    with pytest.raises(Conflict, match="an arm of the experiment on support@prod"):
        catalog.set_state("ann", "support", 2, State.ARCHIVED, None)
    with pytest.raises(Conflict, match="an arm of the experiment on support@prod"):
        catalog.delete_version("ann", "support", 2)
    catalog.set_alias("ann", "support", "default", 3)
    catalog.experiments.end("ann", running.id, "enough")
    catalog.set_alias("ann", "support", "prod", 3)
    catalog.delete_version("ann", "support", 2)
    assert catalog.experiments.list("support")[0].reason == "enough"


def test_answers_are_counted_and_callers_once(catalog: Catalog) -> None:
    ident = begin(catalog).id
    before = catalog.last_event_id()
    catalog.experiments.record(
        [
            answer(ident, "a", seconds={"ttft": 0.1}),
            answer(ident, "b", failed=True),
            answer(ident, "c", caller="c2", arm="1"),
        ]
    )
    catalog.experiments.record([answer(ident, "a"), answer(ident, "d", caller="c3")])
    found = catalog.experiments.observed(ident)
    assert {name: (tally.requests, tally.errors) for name, tally in found.tallies.items()} == {"1": (1, 0), "2": (4, 1)}
    assert found.tallies["2"].latencies["ttft"].count == 1
    assert found.callers == {"1": 1, "2": 2}
    assert catalog.last_event_id() == before


def test_answers_of_an_experiment_that_is_not_there_are_let_go(catalog: Catalog) -> None:
    """A catalog may be brought back from a copy under a running server; what waits must not block what comes."""
    ident = begin(catalog).id
    catalog.experiments.record([answer(99, "a"), answer(ident, "b")])
    found = catalog.experiments.observed(ident, with_callers=False)
    assert (found.tallies["2"].requests, found.callers) == (1, {})


def test_feedback_counts_once(catalog: Catalog) -> None:
    experiments, ident = catalog.experiments, begin(catalog).id
    experiments.record([answer(ident, "a"), answer(ident, "b", arm="1")])
    given = experiments.add_feedback("a", "team", "thumbs", 1)
    assert (given.experiment, given.arm, given.value) == (ident, "2", 1)
    assert experiments.add_feedback("a", "team", "thumbs", 1) == given
    with pytest.raises(Conflict) as raised:
        experiments.add_feedback("a", "team", "thumbs", 0)
    assert raised.value.code == "feedback_given"
    experiments.add_feedback("b", "team", "thumbs", 0)
    tallies = experiments.observed(ident).tallies
    assert [(tallies[name].scores.count, tallies[name].scores.total) for name in "12"] == [(1, 0), (1, 1)]


def test_feedback_that_cannot_count_is_refused_and_changes_nothing(catalog: Catalog) -> None:
    experiments, ident = catalog.experiments, begin(catalog).id
    experiments.record([answer(ident, "a")])
    before = experiments.observed(ident).tallies
    for completion, key in (("nothing", "team"), ("a", "another key")):
        with pytest.raises(NotFound) as unknown:
            experiments.add_feedback(completion, key, "thumbs", 1)
        assert unknown.value.code == "unknown_completion"
    with pytest.raises(Conflict) as raised:
        experiments.add_feedback("a", "team", "stars", 1)
    assert raised.value.code == "other_metric"
    with pytest.raises(UsageError):
        experiments.add_feedback("a", "team", "thumbs", 0.5)
    assert experiments.observed(ident).tallies == before
    experiments.end("ann", ident, None)
    with pytest.raises(Conflict) as raised:
        experiments.add_feedback("a", "team", "thumbs", 1)
    assert raised.value.code == "experiment_ended"


def test_feedback_by_many_threads_loses_none(catalog: Catalog) -> None:
    ident = begin(catalog, metric="stars").id
    catalog.experiments.record([answer(ident, f"a{number}") for number in range(40)])

    def say(start: int) -> None:
        for number in range(start, 40, 4):
            catalog.experiments.add_feedback(f"a{number}", "team", "stars", 0.5)

    threads = [threading.Thread(target=say, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    scores = catalog.experiments.observed(ident).tallies["2"].scores
    assert (scores.count, scores.total, scores.graded) == (40, 20, True)


def test_weights_change_and_callers_are_counted_anew(catalog: Catalog) -> None:
    ident = begin(catalog).id
    catalog.experiments.record([answer(ident, "a")])
    adjusted = catalog.experiments.set_weights("ann", ident, {"1": 50, "2": 50})
    assert [arm.weight for arm in adjusted.arms] == [50, 50]
    assert catalog.experiments.observed(ident).callers == {}
    later = adjusted.assigned_since + timedelta(seconds=1)
    catalog.experiments.record(
        [
            answer(ident, "b", at=adjusted.weights_changed_at - timedelta(minutes=1)),
            answer(ident, "c", at=later, arm="1"),
        ]
    )
    assert catalog.experiments.observed(ident).callers == {"1": 1}  # the other one was assigned before
    assert catalog.events(0, 1000)[-1].kind == "experiment_adjusted"


def look(count: int, low: float, pairs: int = 0) -> Look:
    return Look(arm="2", other="1", count=count, at=datetime.now(UTC), difference=0, low=low, high=0.2, pairs=pairs)


def test_a_review_is_kept_once(catalog: Catalog, open_catalog: Opener) -> None:
    """Of two servers that look at the same moment the second changes nothing."""
    ident = begin(catalog).id
    found = Review((look(10, -0.1),), {"2": ExperimentState.NOT_WORSE}, {"2": "guard error_rate<0.02: 5 of 5"})
    kept = catalog.experiments.keep_review("server", ident, found)
    before = catalog.last_event_id()
    assert open_catalog().experiments.keep_review("other", ident, found) == kept
    assert catalog.last_event_id() == before
    assert (kept.arms[1].state, kept.arms[1].stopped) == ("not_worse", "guard error_rate<0.02: 5 of 5")
    assert [event.kind for event in catalog.events(0, 1000)][-2:] == ["experiment_state", "experiment_arm_stopped"]
    assert catalog.events(0, 1000)[-1].detail["reason"] == "guard error_rate<0.02: 5 of 5"
    catalog.experiments.keep_review("server", ident, Review((look(5, -0.2), look(20, -0.05)), {}, {}))
    assert [each.count for each in catalog.experiments.observed(ident).looks] == [10, 20]
    for pairs in (7, 6):  # more pairs with the same feedback take the place of the last look, fewer do not
        catalog.experiments.keep_review("server", ident, Review((look(20, -0.04, pairs),), {}, {}))
    assert [(each.count, each.pairs) for each in catalog.experiments.observed(ident).looks] == [(10, 0), (20, 7)]


def test_ending_moves_the_alias_in_the_same_moment(catalog: Catalog) -> None:
    ident = begin(catalog).id
    ended = catalog.experiments.end("ann", ident, "as good", 2)
    assert ended.ended_at is not None
    assert next(alias.version for alias in catalog.aliases("support") if alias.name == "prod") == 2
    assert catalog.alias_moves("support", "prod")[-1].reason == "as good"
    with pytest.raises(Conflict) as raised:
        catalog.experiments.end("ann", ident, None)
    assert raised.value.code == "experiment_ended"
    with pytest.raises(Conflict):
        catalog.experiments.set_weights("ann", ident, {"1": 50, "2": 50})


def test_an_arm_that_is_not_ready_is_not_promoted_and_the_experiment_goes_on(catalog: Catalog) -> None:
    ident = begin(catalog).id
    catalog.set_state("ann", "support", 2, State.QUARANTINED, "bad")
    with pytest.raises(Conflict):
        catalog.experiments.end("ann", ident, None, 2)
    assert catalog.experiments.list("support")[0].ended_at is None


def test_snapshots_have_the_running_experiments(catalog: Catalog) -> None:
    put(catalog)
    before = catalog.snapshot()
    assert before.experiments == {}
    for _ in range(2):
        put(catalog)
    catalog.set_alias("ann", "support", "prod", 1)
    begun = begin(catalog)
    running = catalog.snapshot(before)
    assert running.experiments == {("support", "prod"): begun} == catalog.snapshot().experiments
    put(catalog)
    assert catalog.snapshot(running).experiments == running.experiments
    catalog.experiments.end("ann", begun.id, None)
    assert catalog.snapshot(running).experiments == {}
