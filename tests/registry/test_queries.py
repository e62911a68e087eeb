"""What cannot be asked is refused in a sentence that says what to correct."""

from datetime import UTC, datetime
from typing import Any

import pytest
from tests.registry.shelf import Shelf

from lorarack.registry import Condition, Query, parse_condition
from lorarack.registry.errors import NotFound, UsageError

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)

NO_CURSORS = (
    "x", "oldest:3", "newest:x", "newest:" + "9" * 30, "eval_loss:up:0x1p+9999:3", "eval_loss:up:0x1.0p-1:3", "\udcff",
)  # fmt: skip


@pytest.mark.parametrize("cursor", NO_CURSORS)
def test_a_cursor_of_something_else_is_refused(cursor: str, shelf: Shelf) -> None:
    with pytest.raises(UsageError, match="is not a cursor of this search") as raised:
        shelf.registry.search(Query(cursor=cursor))
    assert raised.value.code == "bad_cursor"
    with pytest.raises(UsageError):
        shelf.registry.search(Query(cursor="eval_loss:up:0x1.0p+9999:3", order="eval_loss"))


def test_unknown_names_are_no_empty_answers(shelf: Shelf) -> None:
    shelf.put()
    with pytest.raises(NotFound, match="Did you mean 'support'"):
        shelf.registry.search(Query(adapter="suport"))
    with pytest.raises(NotFound, match="no base model 'tini'"):
        shelf.registry.search(Query(base="tini"))
    for query in (Query(order="no metric"), Query(order="")):
        with pytest.raises(UsageError):
            shelf.registry.search(query)


def test_a_base_goes_by_any_of_its_names(shelf: Shelf) -> None:
    shelf.put()
    base = shelf.registry.base("tiny")
    for name in ("tiny", base.fingerprint, base.path):
        assert len(shelf.registry.search(Query(base=name)).versions) == 1


NO_QUERIES = {
    "limit: input should be less than or equal to 1000": {"limit": 1001},
    "state: input should be 'ready', 'archived', 'quarantined' or 'damaged'": {"state": "good"},
    "ranks: extra inputs are not permitted": {"ranks": 3},
    "metrics.0.operator: input should be '<'": {"metrics": [{"label": "x", "operator": "!", "value": 1}]},
    "(and 1 more)": {"limit": 0, "rank_min": 0, "rank_max": 0, "text": 3},
}


@pytest.mark.parametrize(("said", "given"), NO_QUERIES.items(), ids=NO_QUERIES)
def test_a_query_that_cannot_be_is_refused_in_one_sentence(said: str, given: dict[str, Any], shelf: Shelf) -> None:
    """Also one that was changed after it was made."""
    with pytest.raises(UsageError, match=r"This (Query|Condition) is invalid; correct ") as raised:
        Query(**given)
    assert (said.partition("metrics.0.")[2] or said) in str(raised.value)
    assert (raised.value.code, str(raised.value).count("\n")) == ("bad_query", 0)
    if "metrics" not in given:
        with pytest.raises(UsageError, match="is invalid"):
            shelf.registry.search(Query().model_copy(update=given))


def test_a_moment_without_a_zone_is_in_utc(shelf: Shelf) -> None:
    assert Query(since=BEGIN.replace(tzinfo=None)).since == BEGIN


NO_CONDITIONS = (
    "", "eval_loss", "eval_loss<", "<0.5", "eval_loss<x", "eval_loss<nan", "eval_loss!0.5", "a b<1", "Test/x<1",
)  # fmt: skip


@pytest.mark.parametrize("text", NO_CONDITIONS)
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_condition(text)


def test_conditions_are_read_as_written() -> None:
    assert parse_condition("eval_loss<0.5") == Condition(label="eval_loss", operator="<", value=0.5)
    assert parse_condition(" test/exact >= 1e-3 ") == Condition(label="test/exact", operator=">=", value=0.001)
    assert parse_condition("x<=-1").value == -1
