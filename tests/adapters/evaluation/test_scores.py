"""What an answer is worth."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorarack.adapters.evaluation.scorers.json_values import json_exact, json_f1
from lorarack.adapters.evaluation.scorers.overlap import rouge_l
from lorarack.adapters.evaluation.scorers.text import exact_match
from lorarack.adapters.evaluation.scores import SCORES, find_score, fitting_score
from lorarack.registry.errors import NotFound, UsageError

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
        if score.of:
            assert 0 <= score.of(answer, expected) <= 1
            assert score.of(answer, answer) == pytest.approx(1) or not answer.strip() or score.name.startswith("json")


def test_exact_match_passes_over_white_space_at_the_ends_only() -> None:
    assert exact_match(" yes\n", "yes") == 1
    assert exact_match("y es", "yes") == 0


def test_the_score_that_fits_is_json_only_where_all_is_json() -> None:
    assert fitting_score(['{"a": 1}', " [2]"]).name == "json_exact"
    assert fitting_score(['{"a": 1}', "yes"]).name == "exact_match"
    assert fitting_score(["1", "2"]).name == "exact_match"


#: By the rules of SQuAD and of ROUGE without stemming; BLEU and chrF as sacrebleu's `sentence_score` gives them.
KNOWN = [
    ("token_f1", "The cat sat.", "a cat sat", 1.0),
    ("token_f1", "cat on mat", "the cat sat", 0.4),
    ("token_f1", "", "cat", 0.0),
    ("rouge_l", "police killed the gunman", "police kill the gunman", 0.75),
    ("rouge_l", "the gunman kill police", "police kill the gunman", 0.5),
    ("rouge_l", "große Bären", "Große Bären!", 1.0),
    ("bleu", "the cat sat on the mat", "the cat sat on the mat", 1.0),
    ("bleu", "The dog bit the man.", "The dog had bit the man.", 0.5115),
    ("chrf", "The dog bit the man.", "The dog had bit the man.", 0.6765),
]


@pytest.mark.parametrize(("name", "answer", "expected", "value"), KNOWN)
def test_scores_have_their_known_values(name: str, answer: str, expected: str, value: float) -> None:
    of = find_score(name).of
    assert of is not None
    assert of(answer, expected) == pytest.approx(value, abs=1e-4)


@given(st.lists(st.sampled_from("abc"), max_size=12), st.lists(st.sampled_from("abc"), max_size=12))
def test_rouge_l_is_of_the_longest_common_subsequence(one: list[str], other: list[str]) -> None:
    lengths = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
    for i, left in enumerate(one):
        for j, right in enumerate(other):
            lengths[i + 1][j + 1] = lengths[i][j] + 1 if left == right else max(lengths[i][j + 1], lengths[i + 1][j])
    wanted = 2 * lengths[-1][-1] / (len(one) + len(other)) if one and other else float(one == other)
    assert rouge_l(" ".join(one), " ".join(other)) == wanted


def test_a_pattern_scores_what_it_finds() -> None:
    score = find_score(r"regex:^\d+ (cups|mugs)$")
    assert score.of is not None
    assert [score.of(answer, "") for answer in ("3 cups", "3 cups!", "")] == [1, 0, 0]
    assert score.binary
    assert score.name != find_score("regex:x").name  # their metrics are never ranked against each other
    with pytest.raises(UsageError, match="not a regular expression"):
        find_score("regex:(")
    with pytest.raises(UsageError, match="needs an argument"):
        find_score("regex")


def test_an_answer_is_held_to_a_json_schema(tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}')
    score = find_score(f"json_schema:{schema}")
    assert score.of is not None
    assert [score.of(answer, "") for answer in ('{"n": 1}', '{"n": "1"}', "{", "[" * 100_000)] == [1, 0, 0, 0]
    schema.write_text('{"$ref": "http://127.0.0.1:1/schema"}')
    elsewhere = find_score(f"json_schema:{schema}")
    assert elsewhere.name != score.name
    assert elsewhere.of is not None
    with pytest.raises(UsageError, match="refers to nothing"):
        elsewhere.of("{}", "")
    for content in ("nonsense", "null", '{"type": 3}'):
        schema.write_text(content)
        with pytest.raises(UsageError, match="JSON Schema"):
            find_score(f"json_schema:{schema}")
    with pytest.raises(NotFound):
        find_score(f"json_schema:{tmp_path / 'none.json'}")


OWN = """
def length(answer, expected): return min(1.0, len(answer) / len(expected))
def far(answer, expected): return 7
far.higher_is_better = False
def wrong(answer, expected): return 7
def fails(answer, expected): raise KeyError("n")
text = "no function"
"""


def test_a_scorer_of_ones_own_is_found_by_its_import_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_scorer.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    length, far = find_score("own_scorer:length"), find_score("own_scorer:far")
    assert (length.higher_is_better, far.higher_is_better) == (True, False)
    assert length.of is not None
    assert far.of is not None
    assert (length.of("ab", "abcd"), far.of("", "")) == (0.5, 7)
    for name, message in (("wrong", "must return a number from 0 to 1"), ("fails", "raised KeyError")):
        of = find_score(f"own_scorer:{name}").of
        assert of is not None
        with pytest.raises(UsageError, match=message):
            of("", "x")
    for name in ("own_scorer:none", "own_scorer:text", "no_module_here:f", ":", "own_scorer:"):
        with pytest.raises(UsageError, match="MODULE:FUNCTION"):
            find_score(name)


def test_an_unknown_score_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UsageError, match=r"'jsonexact'.*exact_match, json_exact, json_f1.*'json_exact'"):
        find_score("jsonexact")
