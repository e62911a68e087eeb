"""``lorarack promote --not-worse-than``: the margin rule, on what both versions have answered before."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.adapters.comparison.conftest import home as home
from tests.command_line import Answer, lorarack

from lorarack.adapters import not_worse_than
from lorarack.adapters.data import Row, Rows
from lorarack.adapters.evaluation.answers import Answer as Scored
from lorarack.adapters.evaluation.answers import Answers, Evaluation, Subject
from lorarack.adapters.evaluation.kept import keep_evaluation, kept_evaluations
from lorarack.registry import Dataset, Registry, open_registry
from lorarack.registry.errors import StoreError

Right = Callable[[int], float]


def keep(
    registry: Registry, reference: str, right: Right, rows: int = 200, *, score: str = "exact_match",
    split: str = "test", data: str = "rows.jsonl", higher_is_better: bool = True, groups: tuple[object, ...] | None = None,
) -> str:  # fmt: skip
    """Keep an evaluation of a version in which row n is worth ``right(n)``; returns the digest of the rows."""
    version = registry.resolve(reference)
    held_out = Rows(data, tuple(Row(str(n), prompt=f"{data} {n}") for n in range(rows)))
    answers = tuple(Scored(text="x", score=right(n), tokens=1, cut_off=False) for n in range(rows))
    dataset = Dataset(split=split, name=data, rows=rows, digest=held_out.digest)
    evaluation = Evaluation(
        score=score, binary=True, higher_is_better=higher_is_better, dataset=dataset, max_tokens=8,
        results=(Answers(subject=Subject(model=version.reference), answers=answers),),
    )  # fmt: skip
    keep_evaluation(registry, version, evaluation, dataset, groups)
    return held_out.digest


def all_but(*wrong: int) -> Right:
    return lambda row: float(row % 50 not in wrong)


def promote(home: Path, *arguments: object) -> Answer:
    return lorarack("promote", "orders@2", "prod", "--registry", home, *arguments)


def test_a_version_that_is_not_worse_is_promoted_and_the_figures_stay_in_the_event(home: Path) -> None:
    with open_registry(home) as registry:
        registry.set_alias("orders", "prod", 1)
        keep(registry, "orders@1", all_but(1))
        keep(registry, "orders@2", all_but(2))
    moved = promote(home, "--not-worse-than", "prod", "--margin", 0.05, "--reason", "cheaper", "--json").json()
    assert (moved["version"], moved["previous"]) == (2, 1)
    assert moved["reason"].startswith(
        "cheaper; orders@2 is not worse than orders@1 by 5 points (+0.0 points, 95 % bounds"
    )
    assert "test/exact_match on 200 rows of rows.jsonl" in moved["reason"]
    with open_registry(home) as registry:
        assert registry.events(registry.last_event_id() - 1)[0].detail["reason"] == moved["reason"]


@pytest.mark.parametrize(
    ("candidate", "said"),
    [
        (all_but(*range(1, 10)), "orders@2 is worse than orders@1 by more than 5 points (-16.0 points"),
        (all_but(1, 2, 3), "it is not shown that orders@2 is not worse than orders@1 by 5 points (-4.0 points"),
    ],
)
def test_worse_and_undecided_ones_are_refused_with_the_reason(home: Path, candidate: Right, said: str) -> None:
    with open_registry(home) as registry:
        registry.set_alias("orders", "prod", 1)
        keep(registry, "orders@1", all_but(1))
        keep(registry, "orders@2", candidate)
    refused = promote(home, "--not-worse-than", "prod", "--margin", 0.05)
    assert (refused.code, refused.err.count("\n")) == (3, 1), refused
    assert f"orders@prod stays: {said}" in refused.err
    assert ("rows would decide" in refused.err) == ("not shown" in said)
    forced = promote(home, "--not-worse-than", "orders@1", "--margin", 0.05, "--force", "--json").json()
    assert (forced["version"], forced["forced"], "forced: " in forced["reason"]) == (2, True, True)


def test_without_rows_in_common_the_gate_says_how_to_get_them(home: Path) -> None:
    with open_registry(home) as registry:
        registry.set_alias("orders", "prod", 1)
        keep(registry, "orders@1", all_but(1), data="old.jsonl")
        keep(registry, "orders@1", all_but(1), split="seen")
        keep(registry, "orders@2", all_but(1), split="seen")
        keep(registry, "orders@2", all_but(1), score="json_exact")
    refused = promote(home, "--not-worse-than", "prod")
    assert (refused.code, "lorarack compare orders@2 orders@1 --data ROWS" in refused.err) == (3, True), refused


def test_of_several_evaluations_one_must_be_chosen(home: Path) -> None:
    """Else the one that says yes would be found by trying."""
    with open_registry(home) as registry:
        registry.set_alias("orders", "prod", 1)
        for reference in ("orders@1", "orders@2"):
            keep(registry, reference, all_but(1))
            keep(registry, reference, all_but(1), score="json_exact")
            digest = keep(registry, reference, all_but(1), score="json_exact", data="other.jsonl")
    refused = promote(home, "--not-worse-than", "prod")
    assert (refused.code, "3 evaluations in common" in refused.err) == (2, True), refused
    assert promote(home, "--not-worse-than", "prod", "--require", "test/json_exact").code == 2
    chosen = ("--not-worse-than", "prod", "--require", "test/json_exact", "--dataset", digest[:16])
    assert promote(home, *chosen, "--json").json()["version"] == 2


def test_the_first_version_of_an_alias_needs_an_evaluation_only(home: Path) -> None:
    assert promote(home, "--not-worse-than", "prod").code == 3
    with open_registry(home) as registry:
        keep(registry, "orders@2", all_but(1))
    assert promote(home, "--not-worse-than", "prod", "--json").json()["version"] == 2
    said = promote(home, "--not-worse-than", "canary")
    assert (said.code, "canary" in said.err) == (1, True), "an alias that is not the one to be set must exist"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--margin", "0.1"], "--margin belongs to --not-worse-than"),
        (["--not-worse-than", "prod", "--min-gain", "0.1"], "two rules"),
        (["--not-worse-than", "prod", "--margin", "0"], "A margin of 0 is no margin"),
        (["--not-worse-than", "prod", "--margin", "nan"], "is no margin"),
        (["--not-worse-than", "prod", "--require", "a b"], "cannot be a metric's name"),
        (["--not-worse-than", "Prod!@"], "is not a reference"),
    ],
)
def test_bad_input_is_one_sentence(home: Path, arguments: list[str], sentence: str) -> None:
    said = promote(home, *arguments)
    assert (said.code, said.err.count("\n"), said.out) == (2, 1, ""), said
    assert sentence in said.err


def test_losses_and_groups_are_judged_as_such(home: Path) -> None:
    """Ten conversations of twenty rows each are ten draws, not two hundred."""
    with open_registry(home) as registry:
        groups = tuple(n // 20 for n in range(200))
        keep(registry, "orders@1", all_but(1), groups=groups)
        keep(registry, "orders@2", all_but(1))
        assert not not_worse_than(registry, "orders@2", "orders@1").holds
        keep(registry, "orders@1", lambda n: 1 + n % 3, score="nll", higher_is_better=False)
        keep(registry, "orders@2", lambda n: 1 + n % 3 + 0.001 * (n % 7), score="nll", higher_is_better=False)
        found = not_worse_than(registry, "orders@2", "orders@1", metric="test/nll")
    assert (found.holds, "by 1 % of the loss (-0.1 %" in found.sentence) == (True, True), found.sentence


def test_a_later_evaluation_takes_the_place_of_the_earlier_one(home: Path) -> None:
    with open_registry(home) as registry:
        keep(registry, "orders@1", all_but(1))
        keep(registry, "orders@1", all_but(2))
        (kept,) = kept_evaluations(registry, registry.resolve("orders@1"))
        assert kept.answers[1].score == 1
        (file,) = (home / "evaluations").rglob("*.json")
        file.write_text(json.dumps({"format": 1}))
        with pytest.raises(StoreError, match="delete it"):
            not_worse_than(registry, "orders@1", "orders@2")
