"""One evaluation: the same rows for all, interleaved, scored under the right names."""

from typing import Any

import pytest
from tests.adapters.openai_stand_in import Said, openai_server

from lorarack.adapters.data.rows import Row, Rows
from lorarack.adapters.evaluation.answers import Evaluation, Subject
from lorarack.adapters.evaluation.client import ServerClient
from lorarack.adapters.evaluation.run import evaluate
from lorarack.adapters.evaluation.scores import find_score
from lorarack.registry.errors import Conflict

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
        found = evaluate(SUBJECTS, ROWS, find_score("exact_match"), ServerClient(server.url, at_once=1))
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


@pytest.mark.parametrize("said", [Said("1", model="a@9"), Said("1", headers={"x-lorarack-digest": "sha256:other"})])
def test_an_answer_of_other_weights_is_never_scored(said: Said) -> None:
    """The server may stand on another registry, where a@1 is something else."""
    with openai_server(lambda _: said) as server, pytest.raises(Conflict, match="another registry"):
        evaluate(SUBJECTS[:1], ROWS, find_score("exact_match"), ServerClient(server.url))
