"""A model as judge: asked in both orders, and a tie where the orders disagree."""

import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.adapters.comparison.conftest import home as home
from tests.adapters.openai_stand_in import Said, openai_server

from lorarack.adapters import EvaluationServer, JudgeServer, compare, find_score
from lorarack.adapters.data import Row, Rows
from lorarack.adapters.evaluation.judge import PROMPT_DIGEST, Judge, Opinion, Pair, read_letter, worth
from lorarack.registry import open_registry
from lorarack.registry.errors import NotAllowed, UsageError

LETTERS = st.sampled_from(["A", "B", "C", None])
TEXTS = st.text(max_size=20)


@given(LETTERS, LETTERS)
def test_only_a_judge_that_holds_to_its_opinion_is_believed(first: Any, second: Any) -> None:
    opinion = Opinion(first=first, second=second)
    assert opinion.value == {("A", "B"): 1, ("B", "A"): 0}.get((first, second), 0.5)
    if opinion.contradicts or opinion.unreadable:
        assert opinion.value == 0.5
    if None not in (first, second):
        assert Opinion(first=second, second=first).value == 1 - opinion.value, "exchanging the answers turns the score"
        assert Opinion(first=second, second=first).contradicts == opinion.contradicts


@pytest.mark.parametrize("always", ["A", "B", "C", None])
def test_a_judge_that_looks_at_the_order_alone_finds_nothing(always: Any) -> None:
    assert Opinion(first=always, second=always).value == 0.5
    assert Opinion(first=always, second=always).contradicts == (always in ("A", "B"))


@pytest.mark.parametrize(
    ("said", "letter"),
    [
        ("A", "A"), (" B.", "B"), ("**C**", "C"), ("Answer A is better.", "A"), ("B) since A is wrong", "B"), ("C\nA and B", "C"),
        ("A better answer is B", None), ("", None), ("both", None), ("Apples Beat Cake", None), ("A or B", None), ("b", None),
    ],
)  # fmt: skip
def test_a_letter_is_read_where_there_is_no_doubt(said: str, letter: str | None) -> None:
    assert read_letter(said) == letter


@given(TEXTS)
def test_whatever_a_judge_says_is_a_letter_or_none(said: str) -> None:
    assert read_letter(said) in ("A", "B", "C", None)


@given(st.builds(Pair, TEXTS, TEXTS, TEXTS), st.builds(Pair, TEXTS, TEXTS, TEXTS))
def test_pairs_have_the_same_key_where_all_texts_are_the_same(one: Pair, other: Pair) -> None:
    assert (one.key == other.key) == (one == other)


def longer(body: dict[str, Any]) -> Said:
    """A judge who prefers the longer answer, whichever comes first."""
    prompt = body["messages"][0]["content"]
    a, b = (prompt.split(f"<answer_{x}>\n")[1].split(f"\n</answer_{x}>")[0] for x in "ab")
    return Said("C" if len(a) == len(b) else "A" if len(a) > len(b) else "B")


def test_each_pair_is_asked_in_both_orders_once(caplog: pytest.LogCaptureFixture) -> None:
    pairs = [Pair("q", "four", answer) for answer in ("longer", "for", "word", "longer", " four ")]
    kept: dict[str, Opinion] = {}
    with openai_server(longer) as server, caplog.at_level(logging.DEBUG):
        judge = Judge("big", JudgeServer(server.url, "a-secret-key"))
        found = judge.opinions(pairs, {}, lambda key, opinion: kept.update({key: opinion}))
    assert [worth(pair, found) for pair in pairs] == [1, 0, 0.5, 1, 0.5]
    assert len(server.asked) == 6, "three different ones, twice; the same text and the expected text are not asked"
    assert kept == found
    assert {body["temperature"] for body in server.asked} == {0}
    assert set(server.keys) == {"Bearer a-secret-key"}
    assert "a-secret-key" not in caplog.text + repr(judge)
    report = judge.report(pairs, found)
    assert (report.judged, report.contradicted, report.unreadable, report.prompt) == (4, 0, 0, PROMPT_DIGEST)


def test_what_it_said_before_is_not_asked_again() -> None:
    pairs = [Pair("q", "four", "longer"), Pair("q", "four", "for")]
    known = {pairs[0].key: Opinion(first="A", second="B")}
    with openai_server(longer) as server:
        found = Judge("big", JudgeServer(server.url)).opinions(pairs, known)
    assert (len(server.asked), len(found), known.keys() < found.keys()) == (2, 2, True)


def test_a_wrong_key_is_said_once() -> None:
    with openai_server(lambda _: Said(status=401)) as server, pytest.raises(NotAllowed):
        Judge("big", JudgeServer(server.url, "k", pauses=())).opinions([Pair("q", "a", "b")], {})


def test_other_judges_are_other_metrics() -> None:
    """Their opinions must never be ranked against each other."""
    one, other = (find_score(f"judge:{model}", JudgeServer("http://127.0.0.1:1")) for model in ("big", "small"))
    assert one.name != other.name
    assert one.name.startswith("judge-")
    with pytest.raises(UsageError, match="give --judge-url"):
        find_score("judge:big")
    with pytest.raises(UsageError, match="needs an argument"):
        find_score("judge:", JudgeServer("http://127.0.0.1:1"))


def test_a_comparison_is_judged_kept_and_continued(home: Path, tmp_path: Path) -> None:
    """Version 2 answers at length; the judge falls silent midway, and what it had said by then is not asked again."""
    rows = Rows("rows.jsonl", tuple(Row("four", prompt=str(n), line=n + 1) for n in range(100)))

    def answer(body: dict[str, Any]) -> Said:
        return Said(f"{'at length' if body['model'] == 'orders@2' else ''} {body['prompt']}")

    asked = 0

    def silent(body: dict[str, Any]) -> Said:
        nonlocal asked
        asked += 1
        return longer(body) if asked <= 40 else Said(status=400)

    with openai_server(answer) as server, open_registry(home) as registry:

        def run(judge: Any) -> Any:
            return compare(
                registry, ["orders@1", "orders@2"], rows, score="judge:big", save=tmp_path / "saved",
                judge=JudgeServer(judge.url, concurrency=1), server=EvaluationServer(server.url),
            )  # fmt: skip

        with openai_server(silent) as judge, pytest.raises(UsageError):
            run(judge)
        with openai_server(longer) as judge:
            found = run(judge)
            assert len(judge.asked) == 400 - 40
        with openai_server(longer) as judge:
            assert run(judge).verdict == found.verdict
            assert judge.asked == []
        assert len(server.asked) == 200
    best = found.verdict.of("orders@2")
    assert (found.verdict.recommended, best.score) == ("orders@2", 1)
    assert best.judge is not None
    assert (best.judge.model, best.judge.judged, best.judge.contradicted) == ("big", 100, 0)
    assert any("big judged 200 answers" in warning for warning in found.verdict.warnings)
