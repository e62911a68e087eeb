"""What an answer is worth."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorarack.adapters.evaluation.scores import SCORES, exact_match, find_score, fitting_score, json_exact, json_f1
from lorarack.registry.errors import UsageError

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("answer", "expected", "score"),
    [
        ('{"a": 1, "b": [2]}', '{"b":[2],"a":1.0}', 1),
        ('{"a": [1, 2]}', '{"a": [2, 1]}', 0),
        ('{"a": true}', '{"a": 1}', 0),
        ('{"a": "1"}', '{"a": 1}', 0),
        ("{}", "[]", 0),
        ('{"a": []}', '{"a": {}}', 0),
        ('{"a": null}', "{}", 0),
        ('{"0": 1}', "[1]", 0),
        ('{"a": 1} and more', '{"a": 1}', 0),
        ("", '{"a": 1}', 0),
        ("null", "null", 1),
        ("sure!", "sure!", 0),
        ("[" * 100_000, "[]", 0),
        ("9" * 10_000, "9", 0),
    ],
)
def test_json_exact_tells_equal_values_from_others(answer: str, expected: str, score: float) -> None:
    assert json_exact(answer, expected) == score
    assert json_f1(answer, expected) <= score or score == 0


@pytest.mark.parametrize(
    ("answer", "expected", "score"),
    [
        ('{"a": 1, "b": 2}', '{"a": 1, "b": 3}', 0.5),
        ('{"a": 1}', '{"a": 1, "b": 3}', 2 / 3),
        ('{"a": 1, "b": 3, "c": 4}', '{"a": 1}', 0.5),
        ('{"a": {"b": [1, 2]}}', '{"a": {"b": [1, 3]}}', 0.5),
        ('{"a": [1]}', '{"b": [1]}', 0),
    ],
)
def test_json_f1_counts_the_leaves_with_their_paths(answer: str, expected: str, score: float) -> None:
    assert json_f1(answer, expected) == pytest.approx(score)


@given(values)
def test_a_value_scores_one_against_itself_however_it_is_written(value: Any) -> None:
    """Key order and white space do not matter to either JSON score."""
    compact, wide = json.dumps(value), json.dumps(value, indent=3, sort_keys=True)
    assert json_exact(compact, wide) == 1
    assert json_f1(compact, wide) == 1


@given(values, values)
def test_scores_are_symmetric_within_bounds_and_agree_on_full_marks(one: Any, other: Any) -> None:
    """F1 is 1 exactly when the values are equal."""
    first, second = json.dumps(one), json.dumps(other)
    assert json_f1(first, second) == json_f1(second, first)
    assert 0 <= json_f1(first, second) <= 1
    assert (json_f1(first, second) == 1) == (json_exact(first, second) == 1)


@given(st.text(), st.text())
def test_no_text_makes_a_score_fail(answer: str, expected: str) -> None:
    for score in SCORES.values():
        assert 0 <= score.of(answer, expected) <= 1


def test_exact_match_passes_over_white_space_at_the_ends_only() -> None:
    assert exact_match(" yes\n", "yes") == 1
    assert exact_match("y es", "yes") == 0


def test_the_score_that_fits_is_json_only_where_all_is_json() -> None:
    assert fitting_score(['{"a": 1}', " [2]"]).name == "json_exact"
    assert fitting_score(['{"a": 1}', "yes"]).name == "exact_match"
    assert fitting_score(["1", "2"]).name == "exact_match"


def test_an_unknown_score_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UsageError, match=r"'jsonexact'.*exact_match, json_exact, json_f1.*'json_exact'"):
        find_score("jsonexact")
