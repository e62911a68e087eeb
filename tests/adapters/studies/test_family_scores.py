"""Scores of a study's family: what is refused before anything is trained, and what the report says."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.adapters.openai_stand_in import Said, openai_server
from tests.adapters.training.conftest import write_rows
from tests.command_line import lorarack
from tests.json_schemas import hold

from lorarack.adapters.data.rows import Row, Rows
from lorarack.adapters.evaluation.server import EvaluationServer
from lorarack.adapters.recipe import Recipe
from lorarack.adapters.studies.family_scores import check_scores
from lorarack.registry import Registry
from lorarack.registry.errors import Unavailable, UsageError

LOCAL = EvaluationServer()
ROWS = Rows("held-out", (Row("tea", prompt="one tea"),))


def test_scores_need_held_out_rows() -> None:
    with pytest.raises(UsageError, match="--score needs held-out rows: name them with --test"):
        check_scores(["chrf"], None, LOCAL)
    check_scores([], None, LOCAL)
    check_scores(["chrf", "nll"], ROWS, LOCAL)


@pytest.mark.parametrize("score", ["blue", "judge:model", "regex"])
def test_a_score_that_cannot_be_made_is_refused(score: str) -> None:
    """No such score, one that needs a judge's server, one without its argument."""
    with pytest.raises(UsageError, match="score"):
        check_scores([score], ROWS, LOCAL)


def test_rows_without_answers_are_refused() -> None:
    texts = Rows("texts", (Row("a whole text"),))
    with pytest.raises(UsageError, match="texts holds plain texts, which have no answers to score"):
        check_scores(["chrf"], texts, LOCAL)


def test_a_running_server_is_asked_before_anything_is_trained() -> None:
    """An hour of training is no time to learn that nobody answers, or that the key is wrong."""
    with pytest.raises(Unavailable, match="No server answers"):
        check_scores(["chrf"], ROWS, EvaluationServer("http://127.0.0.1:9"))
    with openai_server(lambda asked: Said("")) as server:
        check_scores(["chrf"], ROWS, EvaluationServer(server.url))


@pytest.mark.torch
def test_the_family_is_scored_and_reported(
    registry: Registry, recipe: Callable[..., Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a server's answers: each version and the base, in table, page, plot and JSON; another score asks nothing anew.

    A score whose answers are all kept starts no server either.
    """
    monkeypatch.setenv("LORARACK_HOME", str(tmp_path / "lorarack"))
    data = recipe().data
    held_out = write_rows(tmp_path / "test.jsonl", "yz")
    with openai_server(lambda asked: Said("zzz" if asked["prompt"].startswith("y") else "no")) as server:
        arguments = (
            *("study", "scored", "--base", "tiny", "--data", data.train, "--validation", data.validation, "--rank", 2),
            *("--max-steps", 4, "--test", held_out, "--registry", registry.location),
        )
        url = ("--url", server.url)
        found = lorarack(*arguments, *url, "--score", "exact_match", "--json").json()
        asked = len(server.asked)
        shown = lorarack(*arguments, *url, "--score", "exact_match", "--score", "chrf")
        assert len(server.asked) == asked == 3 * 2
    hold("study", found)
    (scored,) = found["scores"]
    assert scored["score"] == "exact_match"
    assert {one["reference"] for one in scored["verdict"]["versions"]} == {"scored@1", "scored@2"}
    assert all(one["score"] == 0.5 for one in scored["verdict"]["versions"])
    assert registry.resolve("scored@1").metric("exact_match", "test") is not None
    assert "test.jsonl: 2 rows" in shown.out
    (folder,) = (tmp_path / "lorarack" / "studies").iterdir()
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "exact_match of 2 held-out rows" in page
    assert "chrf of 2 held-out rows" in page
    assert "The base alone: 0.5" in page
    again = lorarack(*arguments, "--score", "exact_match", "--json").json()
    assert again["scores"] == found["scores"], "every answer is there, so no server is started"


@pytest.mark.torch
def test_a_server_that_fails_costs_only_the_scores(
    registry: Registry, recipe: Callable[..., Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report is there, what is recommended was said, and the same command goes on with the scores."""
    monkeypatch.setenv("LORARACK_HOME", str(tmp_path / "lorarack"))
    data = recipe().data
    held_out = write_rows(tmp_path / "test.jsonl", "yz")
    with openai_server(lambda asked: Said(status=400, body=b'{"error": {"message": "no"}}')) as server:
        failed = lorarack(
            *("study", "scored", "--base", "tiny", "--data", data.train, "--validation", data.validation, "--rank", 2),
            *("--max-steps", 4, "--test", held_out, "--registry", registry.location),
            *("--url", server.url, "--score", "exact_match"),
        )
    assert failed.code != 0
    assert "Recommended: scored@" in failed.err
    (folder,) = (tmp_path / "lorarack" / "studies").iterdir()
    assert {"report.json", "report.html", "losses.png"} <= {path.name for path in folder.iterdir()}
