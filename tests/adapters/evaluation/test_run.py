"""One evaluation: the same rows for all, interleaved, scored under the right names."""

from typing import Any

import pytest
from tests.adapters.openai_stand_in import Said, openai_server

from lorarack.adapters.data import Message, Row, Rows, ToolCall
from lorarack.adapters.evaluation.answers import Evaluation, Subject
from lorarack.adapters.evaluation.client import ServerClient
from lorarack.adapters.evaluation.run import ask_and_score, request_count
from lorarack.adapters.evaluation.scores import find_score
from lorarack.registry.errors import Conflict, UsageError

ROWS = Rows("rows.jsonl", tuple(Row(str(n), prompt=f"say {n}") for n in range(5)))
DIGESTS = {"a@1": "sha256:" + "1" * 64, "a@2": "sha256:" + "2" * 64}
SUBJECTS = (
    Subject(model="a@1", digest=DIGESTS["a@1"]),
    Subject(model="a@2", digest=DIGESTS["a@2"]),
    Subject(model="base"),
)


def answer(body: dict[str, Any]) -> Said:
    """a@1 knows all, a@2 small numbers, the base nothing."""
    number = int(body["prompt"].removeprefix("say "))
    right = {"a@1": True, "a@2": number < 2}.get(body["model"], False)
    return Said(str(number) if right else "what?", headers={"x-lorarack-digest": DIGESTS.get(body["model"], "base")})


def test_each_row_goes_to_all_before_the_next_and_each_answer_is_scored_under_its_name() -> None:
    with openai_server(answer) as server:
        found = ask_and_score(SUBJECTS, ROWS, find_score("exact_match"), ServerClient(server.url, concurrency=1))
    assert [(body["prompt"], body["model"]) for body in server.asked] == [
        (row.prompt, subject.model) for row in ROWS for subject in SUBJECTS
    ]
    assert found.of("a@1").scores == (1, 1, 1, 1, 1)
    assert found.of("a@2").scores == (1, 1, 0, 0, 0)
    assert found.of("base").mean == 0
    assert (found.dataset.rows, found.dataset.digest, found.score) == (5, ROWS.digest, "exact_match")
    assert Evaluation.model_validate_json(found.model_dump_json()) == found
    with pytest.raises(KeyError):
        found.of("a@3")


def test_a_yardstick_is_asked_fewer_rows_and_pairs_with_the_right_ones() -> None:
    """The base gets rows 0, 2 and 4; the versions get all."""
    subjects = (*SUBJECTS[:2], SUBJECTS[2].model_copy(update={"stride": 2}))
    with openai_server(answer) as server:
        found = ask_and_score(subjects, ROWS, find_score("exact_match"), ServerClient(server.url, concurrency=1))
    assert [body["prompt"] for body in server.asked if body["model"] == "base"] == ["say 0", "say 2", "say 4"]
    assert [len(result.answers) for result in found.results] == [5, 5, 3]
    assert request_count(subjects, ROWS) == len(server.asked) == 13


def test_a_version_can_be_asked_for_by_any_reference_to_it() -> None:
    """The request names a@r4; what answers must be a@1 all the same."""
    subject = SUBJECTS[0].model_copy(update={"asked_as": "a@r4"})
    with openai_server(lambda _: Said("0", model="a@1")) as server:
        found = ask_and_score([subject], ROWS, find_score("exact_match"), ServerClient(server.url))
    assert {body["model"] for body in server.asked} == {"a@r4"}
    assert found.of("a@1").mean == 0.2


@pytest.mark.parametrize("said", [Said("1", model="a@9"), Said("1", headers={"x-lorarack-digest": "sha256:other"})])
def test_an_answer_of_other_weights_is_never_scored(said: Said) -> None:
    """The server may stand on another registry, where a@1 is something else."""
    with openai_server(lambda _: said) as server, pytest.raises(Conflict, match="another registry"):
        ask_and_score(SUBJECTS[:1], ROWS, find_score("exact_match"), ServerClient(server.url))


def test_answers_that_call_tools_are_not_scored_as_texts() -> None:
    calls = Message("assistant", None, (ToolCall("f", "{}", "c"),))
    rows = Rows("rows.jsonl", (Row("", messages=(Message("user", "u"),), answer=calls, line=7),))
    with pytest.raises(UsageError, match=r"rows\.jsonl, line 7: its answer calls tools"):
        ask_and_score(SUBJECTS, rows, find_score("exact_match"), ServerClient("http://127.0.0.1:1"))
