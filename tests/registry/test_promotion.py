"""Promotion under a rule, and the way back."""

from pathlib import Path

import pytest
from tests.registry.parts import interrupted
from tests.registry.shelf import Shelf
from tests.tiny import tiny_adapter

from lorarack.registry import Judgement, Registry, Rule
from lorarack.registry.errors import Conflict, GateRefused, NotFound, UsageError

LOSS = Rule(label="eval_loss")


def test_a_better_version_is_promoted_and_the_figures_are_kept(shelf: Shelf) -> None:
    shelf.put(loss=0.43)
    shelf.put(loss=0.41)
    moved = shelf.registry.promote("support", "prod", 1, rule=LOSS)
    assert (moved.version, moved.previous, moved.forced) == (1, None, False)
    assert moved.reason == "support@1 has eval_loss 0.43, and nothing stood there before"
    moved = shelf.registry.promote("support", "prod", 2, rule=Rule(label="eval_loss", min_gain=0.02), reason="try it")
    assert (moved.version, moved.previous) == (2, 1)
    assert moved.reason == (
        "try it; eval_loss of support@2 is 0.41, of support@1 0.43: better by 0.02, and it must be at least 0.02 better"
    )


@pytest.mark.parametrize(
    ("new", "old", "higher", "gain", "holds"),
    [
        (0.5, 0.5, False, 0, True),
        (0.5, 0.5, False, 0.1, False),
        (0.2, 0.3, False, 0.1, True),  # in binary the difference is a little less than 0.1
        (0.3, 0.2, False, 0, False),
        (0.3, 0.2, True, 0.1, True),
        (0.2, 0.3, True, 0, False),
        (0.41, 0.42, False, 0.011, False),
    ],
)
def test_the_rule_counts_in_the_metrics_better_direction(
    new: float, old: float, higher: bool, gain: float, holds: bool, shelf: Shelf
) -> None:
    shelf.put(exact=old, higher=higher)
    shelf.put(exact=new, higher=higher)
    shelf.registry.set_alias("support", "prod", 1)
    rule = Rule(label="test/exact", min_gain=gain)
    if holds:
        assert shelf.registry.promote("support", "prod", 2, rule=rule).version == 2
        return
    with pytest.raises(GateRefused, match="support@prod stays: test/exact of support@2 is") as raised:
        shelf.registry.promote("support", "prod", 2, rule=rule)
    assert (raised.value.exit_code, raised.value.code) == (3, "gate_refused")
    assert shelf.registry.aliases("support")[1].version == 1


def test_what_cannot_be_compared_is_refused_in_words(shelf: Shelf) -> None:
    shelf.put(loss=0.5)
    shelf.put()
    shelf.put(loss=0.4, dataset="sha256:" + "a" * 64)
    shelf.put(loss=0.3, dataset="sha256:" + "b" * 64)
    registry = shelf.registry
    with pytest.raises(GateRefused, match="support@2 has no eval_loss"):
        registry.promote("support", "prod", 2, rule=LOSS)
    registry.set_alias("support", "prod", 2)
    with pytest.raises(GateRefused, match="support@2, which stands there now, has no eval_loss to compare with"):
        registry.promote("support", "prod", 1, rule=LOSS)
    registry.set_alias("support", "prod", 3)
    with pytest.raises(GateRefused, match="eval_loss of support@4 and support@3 was measured on different data"):
        registry.promote("support", "prod", 4, rule=LOSS)
    with pytest.raises(GateRefused, match=r"worse by 0\.1"):  # one of the two does not say on which data: compared
        registry.promote("support", "prod", 1, rule=LOSS)
    with pytest.raises(UsageError, match="cannot be a metric's name"):
        registry.promote("support", "prod", 4, rule=Rule(label="no metric"))
    with pytest.raises(NotFound, match="There is no version support@9"):
        registry.promote("support", "prod", 9, rule=LOSS)


def test_force_moves_it_and_says_so_for_ever(shelf: Shelf) -> None:
    shelf.put(loss=0.4)
    shelf.put(loss=0.5)
    shelf.registry.set_alias("support", "prod", 1)
    moved = shelf.registry.promote("support", "prod", 2, rule=LOSS, force=True, reason="the customer waits")
    assert (moved.version, moved.forced) == (2, True)
    assert moved.reason is not None
    assert moved.reason.startswith("the customer waits; forced: eval_loss of support@2 is 0.5, of support@1 0.4: worse")
    assert shelf.registry.alias_history("support", "prod")[-1] == moved
    moved = shelf.registry.promote("support", "prod", 1, rule=LOSS, force=True)
    assert not moved.forced, "the rule held; nothing was forced"


def test_whoever_moves_the_alias_meanwhile_is_not_overrun(shelf: Shelf) -> None:
    """The rule was held against version 1; it says nothing about version 3."""
    for loss in (0.5, 0.4, 0.3):
        shelf.put(loss=loss)
    registry = shelf.registry
    registry.set_alias("support", "prod", 1)
    slow = interrupted(registry, "set_alias", lambda: registry.set_alias("support", "prod", 3))
    with pytest.raises(Conflict, match="names version 3, not version 1") as raised:
        slow.promote("support", "prod", 2, rule=LOSS)
    assert raised.value.code == "stale_expect"


def test_nor_is_whoever_makes_it_meanwhile(shelf: Shelf) -> None:
    """The rule was held against nothing."""
    shelf.put(loss=0.5)
    shelf.put(loss=0.4)
    shelf.registry.set_alias("support", "new", 1)
    with pytest.raises(Conflict, match="support@new names version 1 already"):
        shelf.registry.set_alias("support", "new", 2, expect=0)


def test_a_version_that_stands_there_already_is_no_move(shelf: Shelf) -> None:
    shelf.put(loss=0.5)
    first = shelf.registry.promote("support", "prod", 1, rule=LOSS)
    assert shelf.registry.promote("support", "prod", 1, rule=Rule(label="eval_loss", min_gain=1)) == first


# Rollback


@pytest.fixture
def moved(registry: Registry, tmp_path: Path) -> Registry:
    """Four versions; ``prod`` has named 1, 2 and 3."""
    for seed in range(4):
        registry.publish(tiny_adapter(tmp_path / f"v{seed}", seed=seed), "support", base="tiny")
    for number in (1, 2, 3):
        registry.set_alias("support", "prod", number)
    return registry


def roll(registry: Registry) -> int:
    return registry.rollback("support", "prod").version


def test_each_rollback_goes_one_further_back(moved: Registry) -> None:
    back = moved.rollback("support", "prod", reason="wrong answers")
    assert (back.version, back.previous, back.reason, back.rollback) == (2, 3, "wrong answers", True)
    assert roll(moved) == 1
    assert moved.alias_history("support", "prod")[-1].reason == "rolled back from version 2"
    with pytest.raises(Conflict, match="names version 1 and has named no other that is ready") as raised:
        roll(moved)
    assert raised.value.code == "nothing_before"


def test_what_was_rolled_back_does_not_come_again(moved: Registry) -> None:
    assert roll(moved) == 2
    moved.set_alias("support", "prod", 4)
    assert roll(moved) == 2, "not 3, which was left for its faults"


def test_a_move_back_on_purpose_can_itself_be_undone(moved: Registry) -> None:
    moved.set_alias("support", "prod", 1)
    assert roll(moved) == 3
    assert roll(moved) == 2


def test_versions_that_are_gone_or_not_ready_are_ignored(moved: Registry) -> None:
    moved.quarantine("support@2", "wrong data")
    assert roll(moved) == 1
    moved.set_alias("support", "prod", 4)
    moved.delete("support@3")
    moved.set_alias("support", "default", 4)
    moved.archive("support@1")
    with pytest.raises(Conflict, match="no other that is ready"):
        roll(moved)
    moved.restore("support@1")
    assert roll(moved) == 1


def test_rolling_back_what_is_not_there(moved: Registry) -> None:
    with pytest.raises(NotFound, match="has no alias 'canary'"):
        moved.rollback("support", "canary")
    with pytest.raises(NotFound, match="Did you mean 'support'"):
        moved.rollback("suport", "prod")


def test_a_judgement_is_of_the_version_that_the_alias_named_then(shelf: Shelf) -> None:
    for _ in range(3):
        shelf.put()
    shelf.registry.set_alias("support", "prod", 1)
    judged = Judgement(holds=True, sentence="fine", present=1)
    shelf.registry.set_alias("support", "prod", 3)
    with pytest.raises(Conflict, match="names version 3 now, and support@2 was judged when it named version 1"):
        shelf.registry.promote("support", "prod", 2, rule=judged)
    with pytest.raises(UsageError, match="characters"):
        shelf.registry.promote("support", "prod", 2, rule=Judgement(holds=True, sentence="x" * 20_000))
