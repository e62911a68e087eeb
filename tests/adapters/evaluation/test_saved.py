"""A saved evaluation: what was answered stays, and only the rest is asked again."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.adapters.openai_stand_in import Said, openai_server

from lorarack.adapters.data import Row, Rows
from lorarack.adapters.evaluation.answers import Subject
from lorarack.adapters.evaluation.client import ServerClient
from lorarack.adapters.evaluation.run import ask_and_score
from lorarack.adapters.evaluation.saved import EvaluationManifest, Sampling, SavedEvaluation
from lorarack.adapters.evaluation.scores import find_score
from lorarack.registry.errors import Conflict, NotFound, StoreError

ROWS = Rows("rows.jsonl", tuple(Row(str(n), prompt=str(n), line=n + 1) for n in range(6)))
DIGESTS = {"a@1": "sha256:" + "1" * 64, "a@2": "sha256:" + "2" * 64}
SUBJECTS = (
    Subject(model="a@1", digest=DIGESTS["a@1"]),
    Subject(model="a@2", digest=DIGESTS["a@2"]),
    Subject(model="base", stride=2),
)
EXACT = find_score("exact_match")


def manifest(**changes: Any) -> EvaluationManifest:
    return EvaluationManifest(
        dataset=ROWS.digest, dataset_name=ROWS.name, rows=len(ROWS), base="sha256:b", sampling=Sampling(max_tokens=256),
        score="exact_match", versions=DIGESTS,
    ).model_copy(update=changes)  # fmt: skip


def answer(body: dict[str, Any]) -> Said:
    return Said(body["prompt"] if body["model"] == "a@1" else "7")


def test_an_interrupted_evaluation_continues_where_it_stopped(tmp_path: Path) -> None:
    """The server loses a@2 in the midst; the answers that came before are kept and used, and half a line is no harm."""

    def failing(body: dict[str, Any]) -> Said:
        return Said(status=404) if (body["model"], body["prompt"]) == ("a@2", "3") else answer(body)

    with (
        openai_server(failing) as server,
        SavedEvaluation(tmp_path / "e", manifest()) as saved,
        pytest.raises(NotFound),
    ):
        ask_and_score(SUBJECTS, ROWS, EXACT, ServerClient(server.url, concurrency=1), saved=saved)
    before = len(server.asked) - 1
    assert before == 9
    answers = tmp_path / "e" / "answers.jsonl"
    with answers.open("a") as file:
        file.write('{"row": 3, "di')
    done: list[int] = []
    with openai_server(answer) as server, SavedEvaluation(tmp_path / "e", manifest()) as saved:
        found = ask_and_score(SUBJECTS, ROWS, EXACT, ServerClient(server.url), done.append, saved)
        file_of_scores = saved.finish(found, ROWS, ("x", "x", "y", "y", ("row", 4), 5))
    assert len(server.asked) == 15 - before
    assert (done[0], done[-1]) == (before, 15)
    assert found.of("a@1").mean == 1
    assert found.of("a@2").mean == 0
    lines = [json.loads(line) for line in file_of_scores.read_text().splitlines()]
    assert lines[0] == {"row": 1, "group": "x", "scores": {"a@1": 1, "a@2": 0}}
    assert [line.get("group") for line in lines] == ["x", "x", "y", "y", None, 5]


def test_answers_are_scored_anew_without_a_server(tmp_path: Path) -> None:
    with openai_server(answer) as server, SavedEvaluation(tmp_path, manifest()) as saved:
        ask_and_score(SUBJECTS, ROWS, EXACT, ServerClient(server.url), saved=saved)
    with SavedEvaluation(tmp_path, manifest(score="token_f1")) as saved:
        found = ask_and_score(SUBJECTS, ROWS, find_score("token_f1"), ServerClient("http://127.0.0.1:1"), saved=saved)
    assert (found.score, found.of("a@1").mean) == ("token_f1", 1)
    assert json.loads((tmp_path / "manifest.json").read_text())["score"] == "token_f1"


def test_other_weights_under_the_same_name_are_asked(tmp_path: Path) -> None:
    with openai_server(answer) as server, SavedEvaluation(tmp_path, manifest()) as saved:
        ask_and_score(SUBJECTS[:1], ROWS, EXACT, ServerClient(server.url), saved=saved)
        other = Subject(model="a@1", digest="sha256:" + "9" * 64)
        ask_and_score([other], ROWS, EXACT, ServerClient(server.url), saved=saved)
    assert len(server.asked) == 12


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"dataset": "sha256:x"}, "another rows"),
        ({"base": "sha256:c"}, "another base"),
        ({"sampling": Sampling(max_tokens=8)}, "another sampling"),
    ],
)
def test_a_folder_of_something_else_is_left_alone(tmp_path: Path, change: dict[str, Any], named: str) -> None:
    with SavedEvaluation(tmp_path, manifest()):
        pass
    with pytest.raises(Conflict, match=named), SavedEvaluation(tmp_path, manifest(**change)):
        pass
    assert json.loads((tmp_path / "manifest.json").read_text())["dataset"] == ROWS.digest


def test_bad_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError), SavedEvaluation(tmp_path / "file", manifest()):
        pass
    with (
        SavedEvaluation(tmp_path / "busy", manifest()),
        pytest.raises(Conflict, match="Another process"),
        SavedEvaluation(tmp_path / "busy", manifest()),
    ):
        pass
    (tmp_path / "busy" / "answers.jsonl").write_text("{}\n")
    with pytest.raises(StoreError, match="line 1 is damaged"), SavedEvaluation(tmp_path / "busy", manifest()):
        pass
    (tmp_path / "busy" / "manifest.json").write_text("{}")
    with pytest.raises(Conflict, match="not the manifest"), SavedEvaluation(tmp_path / "busy", manifest()):
        pass
    (tmp_path / "busy" / "manifest.json").unlink()
    with pytest.raises(Conflict, match="no manifest"), SavedEvaluation(tmp_path / "busy", manifest()):
        pass
