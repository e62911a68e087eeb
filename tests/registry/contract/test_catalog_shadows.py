"""Every catalog: what became of the shadows of answers, pairs with feedback, and how long answers are kept."""

import pytest
from tests.registry.contract.test_catalog_experiments import answer, begin

from lorarack.registry.errors import NotFound
from lorarack.registry.experiment.shadow import ShadowCounts, ShadowResult, SkipReason
from lorarack.registry.interface import Catalog


def shadow(ident: int, completion: str, arm: str = "2", **more: object) -> ShadowResult:
    known = {
        "experiment": ident,
        "completion": completion,
        "arm": arm,
        "other": "1" if arm == "2" else "2",
        "share": 0.1,
    }
    return ShadowResult.model_validate({**known, **more})


def test_every_shadow_is_counted_and_pairs_with_feedback_whichever_comes_first(catalog: Catalog) -> None:
    """Feedback on the same answer is a difference of 0; on another it is of the arm that gave it."""
    experiments, ident = catalog.experiments, begin(catalog).id
    experiments.record([answer(ident, "a"), answer(ident, "b"), answer(ident, "c", arm="1"), answer(ident, "d")])
    experiments.add_feedback("a", "team", "thumbs", 1)
    experiments.record(
        [], [shadow(ident, "a", same=True), shadow(ident, "c", "1", same=False, text="x", shadow_text="y")]
    )
    experiments.record(
        [], [shadow(ident, "b", same=False), ShadowResult(experiment=ident, completion="d", arm="2", skipped="no_room")]
    )
    for completion in "bc":
        experiments.add_feedback(completion, "team", "thumbs", 1)
    experiments.add_feedback("d", "team", "thumbs", 0)
    found = experiments.observed(ident).tallies
    assert found["2"].shadow == ShadowCounts(same=1, different=1, skipped={SkipReason.NO_ROOM: 1})
    assert found["1"].shadow == ShadowCounts(different=1)
    assert found["1"].paired == {}
    (stratum,) = found["2"].paired["1"].strata
    assert (stratum.share, stratum.same, stratum.challenger.count, stratum.reference.count) == (0.1, 1, 1, 1)
    assert found["2"].scores.count == 3
    shown = experiments.differing(ident, 10)
    assert {each.completion: (each.text, each.shadow_text, each.value) for each in shown} == {
        "b": (None, None, 1), "c": ("x", "y", 1),
    }  # fmt: skip


def test_a_shadow_that_is_told_twice_or_of_another_arm_pairs_nothing_more(catalog: Catalog) -> None:
    """A client may choose an id twice: feedback on it is of its first answer."""
    experiments, ident = catalog.experiments, begin(catalog).id
    experiments.record([answer(ident, "a"), answer(ident, "a", arm="1")], [shadow(ident, "a", "1", same=False)])
    experiments.record([], [shadow(ident, "a", same=True), shadow(ident, "a", same=False), shadow(99, "a", same=True)])
    experiments.add_feedback("a", "team", "thumbs", 1)
    found = experiments.observed(ident).tallies
    assert (found["1"].shadow.counted, found["2"].shadow.counted) == (1, 2)
    assert found["2"].paired["1"].count == found["2"].paired["1"].strata[0].same == 1


def test_answers_of_what_ended_long_ago_are_removed_and_what_was_counted_stays(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiments, ident = catalog.experiments, begin(catalog).id
    experiments.record([answer(ident, "a"), answer(ident, "b", caller="c2")])
    assert experiments.remove_answers(ident) == 0  # it runs
    assert experiments.old_answers() == ()
    experiments.end("ann", ident, None)
    assert experiments.old_answers() == ()
    before = experiments.observed(ident)
    monkeypatch.setattr("lorarack.registry.catalog.experiment_answers.FEEDBACK_DAYS", -1)
    assert [(each.id, count) for each, count in experiments.old_answers()] == [(ident, 2)]
    assert experiments.remove_answers(ident) == 2
    assert experiments.old_answers() == ()
    after = experiments.observed(ident)
    assert after.callers == {"1": 0, "2": 2}
    assert {name: tally.requests for name, tally in after.tallies.items()} == {"1": 0, "2": 2}
    assert after.looks == before.looks
    with pytest.raises(NotFound):
        experiments.add_feedback("a", "team", "thumbs", 1)
