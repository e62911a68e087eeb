"""A metric or parent that cannot be is refused in a sentence, whoever writes it down."""

from typing import Any

import pytest
from pydantic import ValidationError
from tests.registry.shelf import Shelf

from lorarack.registry import Metric, Parent, Version
from lorarack.registry.errors import UsageError

GOOD_METRIC = {"name": "loss", "split": "validation", "value": 0.5}
NO_METRICS: dict[str, dict[str, Any]] = {
    "name: string should match pattern": {"name": "no metric"},
    "split: string should match pattern": {"split": "Test"},
    "value: input should be a finite number": {"value": float("nan")},
    "value: input should be a valid number": {"value": "much"},
    "step: input should be greater than or equal to 0": {"step": -1},
    "step: input should be less than or equal to": {"step": 2**53},
    "epoch: extra inputs are not permitted": {"epoch": 3},
    "(and 1 more)": {"name": "", "split": "", "value": "", "step": ""},
}
GOOD_PARENT = {"version": "support@1", "relation": "resized"}
NO_PARENTS: dict[str, dict[str, Any]] = {
    "version: string should match pattern": {"version": "support"},
    "relation: string should match pattern": {"relation": "Made Of"},
    "relation: input should be a valid string": {"relation": None},
}


@pytest.mark.parametrize(("said", "given"), NO_METRICS.items(), ids=NO_METRICS)
def test_no_metric(said: str, given: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"^This Metric is invalid; correct ") as raised:
        Metric(**GOOD_METRIC | given)
    assert said in str(raised.value)
    assert (raised.value.code, str(raised.value).count("\n")) == ("bad_metric", 0)


@pytest.mark.parametrize(("said", "given"), NO_PARENTS.items(), ids=NO_PARENTS)
def test_no_parent(said: str, given: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"^This Parent is invalid; correct ") as raised:
        Parent(**GOOD_PARENT | given)
    assert said in str(raised.value)
    assert (raised.value.code, str(raised.value).count("\n")) == ("bad_parent", 0)


def test_what_is_lacking_is_named() -> None:
    with pytest.raises(UsageError, match="correct split: field required; value: field required"):
        Metric(name="loss")  # type: ignore[call-arg]


def test_in_a_file_it_is_named_with_its_place(shelf: Shelf) -> None:
    """What reads a whole document lists all that is wrong in it."""
    data = shelf.put(loss=0.5).to_json()
    data["metrics"][0]["value"] = "much"
    data["parents"] = [{"version": "support", "relation": "resized"}]
    with pytest.raises(ValidationError) as raised:
        Version.model_validate(data)
    assert [problem["loc"] for problem in raised.value.errors()] == [("metrics", 0, "value"), ("parents", 0, "version")]


def test_the_catalogs_rows_do_not_pass_by() -> None:
    """A hundred thousand versions are loaded with all their metrics."""
    assert not getattr(Metric, "__pydantic_custom_init__", True)
    assert not getattr(Parent, "__pydantic_custom_init__", True)
