"""``lorarack compare`` against a real HTTP server that stands in for the engine."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.adapters.openai_stand_in import Said, openai_server
from tests.command_line import lorarack
from tests.json_schemas import hold

from lorarack.adapters.data.load import load_rows
from lorarack.registry import open_registry

ROWS = 40


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the tries of what may pass."""
    monkeypatch.setattr("lorarack.adapters.evaluation.client.PAUSES", (0.01, 0.01, 0.01))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "heldout.jsonl"
    rows = [{"prompt": f"say {n}", "completion": json.dumps({"n": n})} for n in range(ROWS)]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def answer(body: dict[str, Any]) -> Said:
    """Rank 4 knows nearly all, rank 2 half, the base nothing."""
    number = int(body["prompt"].removeprefix("say "))
    right = {"orders@2": number != 7, "orders@1": number % 2 == 0}.get(body["model"], False)
    return Said(f'{{ "n": {number} }}' if right else "no")


def test_the_better_version_is_kept_and_the_scores_become_metrics(home: Path, data: Path) -> None:
    with openai_server(answer) as server:
        said = lorarack(
            "compare", "orders@r2", "orders@r4", "--data", data, "--include-base", "--url", server.url,
            "--registry", home, "--memory", "1GiB", "--json",
        )  # fmt: skip
    found = said.json()
    hold("compare", found)
    for entry in found["versions"]:
        assert entry["fits"] == 2**30 // entry["slot"]
        assert 0 < entry["speed"]["ttft"]["median"] <= entry["speed"]["ttft"]["p95"] < 60
    assert (found["recommended"], found["answer"]) == ("orders@2", "worse")
    assert found["versions"][0]["metric"]["name"] == "json_exact", "chosen because every completion is JSON"
    assert [entry["reference"] for entry in found["versions"]] == ["orders@1", "orders@2"]
    assert [entry["score"] for entry in found["versions"]] == [0.5, 0.975]
    assert [entry["validation_loss"] for entry in found["versions"]] == [0.3, 0.2]
    assert len(server.asked) == 3 * ROWS
    with open_registry(home) as registry:
        metric = registry.resolve("orders@2").metric("json_exact", "test")
        assert metric is not None
        assert (metric.value, metric.dataset, metric.higher_is_better) == (0.975, load_rows(data).digest, True)
        assert registry.resolve("orders").number == 1, "an alias moves only on purpose"


def test_people_get_a_table_or_markdown(home: Path, data: Path) -> None:
    with openai_server(answer) as server:
        common = ("compare", "orders@1", "orders@2", "--data", data, "--url", server.url, "--registry", home)
        table, markdown = lorarack(*common), lorarack(*common, "--markdown", "--score", "json_f1")
    assert (table.code, markdown.code) == (0, 0), (table, markdown)
    assert "orders@2 is recommended: orders@1 is worse by more than 5 points (-47.5 points" in table.out
    assert markdown.out.startswith(
        "| version | rank | json_f1 95 % CI | against best 95 % bounds | eval loss | parameters |"
    )


def test_the_gate_says_no_by_its_exit_code(home: Path, data: Path) -> None:
    with openai_server(answer) as server:
        said = lorarack(
            "compare", "orders@1", "orders@2", "--data", data, "--url", server.url, "--registry", home, "--gate",
        )  # fmt: skip
    assert said.code == 3
    assert "orders@2 is recommended" in said.out


def test_rows_are_grouped_by_a_key_of_the_data(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "talks.jsonl"
    rows = [{"prompt": f"say {2 * n}", "completion": json.dumps({"n": 2 * n}), "talk": n // 20} for n in range(80)]
    path.write_text("\n".join(map(json.dumps, rows)))
    with openai_server(answer) as server:
        common = ("compare", "orders@1", "orders@2", "--data", path, "--url", server.url, "--registry", home, "--json")
        assert lorarack(*common).json()["recommended"] == "orders@1"
        assert lorarack(*common, "--group-by", "talk").json()["recommended"] is None
        said = lorarack(*common, "--group-by", "nothing")
    assert (said.code, "No row of talks.jsonl has 'nothing'" in said.err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["orders@1"], 2, "two different versions or more; name another"),
        (["orders@1", "orders"], 2, "(orders@1 and orders is orders@1)"),
        (["orders@1", "other@1"], 1, "orders@1 belongs to 'tiny' and other@1 to 'another'"),
        (["orders@1", "orders@9"], 1, "has nothing at '@9'"),
        (["orders@1", "Orders!"], 2, "is not a reference"),
        (["orders@1", "orders@2", "--score", "rouge"], 2, "There is no score 'rouge'"),
        (["orders@1", "orders@2", "--serve-args", "--x"], 2, "with --url leave it out"),
        (["orders@1", "orders@2", "--margin", "0"], 2, "A margin of 0 is no margin"),
        (["orders@1", "orders@2", "--score", "judge:big"], 2, "give --judge-url"),
        (["orders@1", "orders@2", "--judge-url", "http://127.0.0.1:1"], 2, "is of --score judge:MODEL"),
        (["orders@1", "orders@2", "--score", "judge:big", "--judge-url", "nowhere"], 2, "'nowhere' is not an address"),
        (["orders@1", "orders@2", "--memory", "much"], 2, "'much' is no amount of memory"),
        (["orders@1", "orders@2", "--cost", "orders@1=2"], 2, "give them with --scores"),
        (["orders@1", "orders@2"], 1, "No server answers at http://127.0.0.1:1"),
    ],
)
def test_bad_input_is_one_sentence(home: Path, data: Path, arguments: list[str], code: int, sentence: str) -> None:
    said = lorarack("compare", *arguments, "--data", data, "--url", "http://127.0.0.1:1", "--registry", home)
    assert said.code == code, said
    assert sentence in said.err
    assert said.err.count("\n") == 1, "one sentence, no traceback"
    assert said.out == ""


@pytest.mark.parametrize("content", ["", "not JSON\n", None])
def test_bad_data_is_one_sentence(home: Path, tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "bad.jsonl"
    if content is not None:
        path.write_text(content)
    said = lorarack("compare", "orders@1", "orders@2", "--data", path, "--registry", home)
    assert said.code in (1, 2)
    assert "bad.jsonl" in said.err
    assert said.err.count("\n") == 1


def test_when_the_server_fails_midway_nothing_is_recorded(home: Path, data: Path) -> None:
    def failing(body: dict[str, Any]) -> Said:
        return Said("slots are full", status=503) if body["prompt"] == "say 30" else answer(body)

    with openai_server(failing) as server:
        said = lorarack("compare", "orders@1", "orders@2", "--data", data, "--url", server.url, "--registry", home)
    assert said.code == 1
    assert ": slots are full" in said.err
    with open_registry(home) as registry:
        assert all(version.metric("json_exact", "test") is None for version in registry.versions("orders"))


def test_flags_that_cannot_be_split_are_refused_before_anything_starts(home: Path, data: Path) -> None:
    said = lorarack("compare", "orders@1", "orders@2", "--data", data, "--registry", home, "--serve-args", "--x 'y")
    assert said.code == 2
    assert "cannot be split into flags" in said.err


def test_saved_answers_are_not_asked_for_again_and_are_judged_without_a_server(
    home: Path, data: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "evaluation"
    common = ("compare", "orders@1", "orders@2", "--data", data, "--registry", home, "--save", folder, "--json")
    with openai_server(answer) as server:
        first = lorarack(*common, "--url", server.url).json()
        assert len(server.asked) == 2 * ROWS
    again = lorarack(*common).json()  # starts no server
    assert again == first
    elsewhere = lorarack("compare", "--scores", folder / "scores.jsonl", "--registry", home, "--json").json()
    assert elsewhere["answer"] == first["answer"]
    assert [one["score"] for one in elsewhere["versions"]] == [0.5, 0.975]
    refused = lorarack(*common, "--max-tokens", "7", "--url", "http://127.0.0.1:1")
    assert (refused.code, "another sampling" in refused.err) == (1, True)


def test_losses_are_judged_as_losses(home: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_loss.py").write_text(
        "def loss(answer, expected): return 2.0 if 'no' in answer else 1.0\nloss.higher_is_better = False\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(sys.path))
    with openai_server(answer) as server:
        found = lorarack(
            "compare", "orders@1", "orders@2", "--data", data, "--registry", home, "--score", "own_loss:loss",
            "--url", server.url, "--include-base", "--json",
        ).json()  # fmt: skip
    assert (found["best"], found["recommended"]) == ("orders@2", "orders@2")
    with open_registry(home) as registry:
        metric = registry.resolve("orders@2").metric(found["versions"][0]["metric"]["name"], "test")
        assert metric is not None
        assert (metric.value, metric.higher_is_better) == (1.025, False)
