"""``lorarack compare --scores``: scores made elsewhere, judged without a server, torch or a registry."""

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from tests.command_line import lorarack
from tests.json_schemas import hold

Scores = Iterable[tuple[float | None, float | None]]


@pytest.fixture(autouse=True)
def _no_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORARACK_HOME", str(tmp_path / "nowhere"))
    monkeypatch.delenv("LORARACK_REGISTRY", raising=False)


def write(folder: Path, pairs: Scores, **more: Any) -> Path:
    path = folder / "scores.jsonl"
    lines = [{"row": n, **more, "scores": {"a@1": one, "a@2": other}} for n, (one, other) in enumerate(pairs)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


COSTS = ("--cost", "a@1=1", "--cost", "a@2=4")


def test_the_json_is_the_verdict(tmp_path: Path) -> None:
    path = write(tmp_path, [(1, 1)] * 170 + [(0, 1)] * 3 + [(1, 0)] * 3 + [(0, 0)] * 24)
    found = lorarack("compare", "--scores", path, "--margin", "0.05", *COSTS, "--json").json()
    hold("compare", found)
    assert list(found) == ["margin", "best", "recommended", "answer", "rows", "rows_needed", "versions", "warnings"]
    assert (found["recommended"], found["answer"], found["rows"], found["rows_needed"]) == (
        "a@1",
        "not_worse",
        200,
        None,
    )
    first = found["versions"][0]
    assert (first["reference"], first["score"], first["cost"]) == ("a@1", 0.865, 1)
    assert set(first["against_best"]) == {"difference", "low", "high", "p", "answer"}
    assert found["warnings"] == []


def test_people_get_a_table_and_one_sentence(tmp_path: Path) -> None:
    path = write(tmp_path, [(1, 1)] * 30 + [(0, 1)] * 3)
    said = lorarack("compare", "--scores", path, *COSTS)
    assert said.code == 0
    assert "33 rows, margin 5 points" in said.out
    assert "Not enough rows to tell: +9.1 points for a@2 over a@1 (95 % bounds" in said.out
    assert lorarack("compare", "--scores", path, *COSTS, "--markdown").out.startswith(
        "| version | mean score 95 % CI |"
    )


@pytest.mark.parametrize(
    ("pairs", "code"),
    [([(1, 1)] * 100, 0), ([(0, 1)] * 40 + [(1, 1)] * 60, 3), ([(1, 1)] * 10, 3)],
    ids=["not worse", "worse", "undecided"],
)
def test_the_gate_makes_the_verdict_the_exit_code(tmp_path: Path, pairs: Scores, code: int) -> None:
    """The report is printed all the same."""
    said = lorarack("compare", "--scores", write(tmp_path, pairs), *COSTS, "--gate", "--json")
    assert said.code == code
    assert json.loads(said.out)["margin"] == 0.05
    assert lorarack("compare", "--scores", tmp_path / "scores.jsonl", *COSTS).code == 0


def test_rows_without_a_score_of_every_version_are_left_out_and_counted(tmp_path: Path) -> None:
    pairs = [(1, 1)] * 90 + [(None, 1)] * 3 + [(1, float("nan"))] * 2
    found = lorarack("compare", "--scores", write(tmp_path, pairs), *COSTS, "--json").json()
    assert found["rows"] == 90
    assert "5 of 95 rows lack a score (3 of a@1, 2 of a@2) and are left out" in found["warnings"][0]


def test_unknown_costs_are_said(tmp_path: Path) -> None:
    found = lorarack("compare", "--scores", write(tmp_path, [(1, 1)] * 100), "--json").json()
    assert "What the versions cost is not known" in found["warnings"][0]
    assert found["versions"][0]["cost"] is None


def test_costs_come_from_the_registry_where_it_knows_the_versions(tmp_path: Path, home: Path) -> None:
    path = tmp_path / "scores.jsonl"
    lines = [{"row": n, "scores": {"orders@r4": 1, "orders@1": 1}} for n in range(100)]
    path.write_text("\n".join(map(json.dumps, lines)))
    found = lorarack("compare", "--scores", path, "--registry", home, "--json").json()
    hold("compare", found)
    assert [version["rank"] for version in found["versions"]] == [2, 4]
    assert (found["recommended"], found["warnings"]) == ("orders@1", [])
    assert found["versions"][0]["cost"] == found["versions"][0]["parameters"] > 0


def test_rows_of_one_group_count_as_one(tmp_path: Path) -> None:
    """A hundred rows of ten conversations are not a hundred rows."""
    path = tmp_path / "scores.jsonl"
    lines = [{"row": n, "talk": n // 10, "scores": {"a@1": 1, "a@2": 1}} for n in range(100)]
    path.write_text("\n".join(map(json.dumps, lines)))
    assert lorarack("compare", "--scores", path, *COSTS, "--json").json()["recommended"] == "a@1"
    grouped = lorarack("compare", "--scores", path, *COSTS, "--group-by", "talk", "--json").json()
    assert (grouped["recommended"], grouped["rows"]) == (None, 100)
    assert grouped["rows_needed"] > 500
    path.write_text(path.read_text().replace("talk", "group"))
    assert lorarack("compare", "--scores", path, *COSTS, "--json").json()["recommended"] is None


def test_losses_take_a_relative_margin(tmp_path: Path) -> None:
    path = write(tmp_path, [(2.0 + 0.01 * (n % 7), 2.0 + 0.01 * (n % 5)) for n in range(100)])
    assert lorarack("compare", "--scores", path).code == 2, "without --loss a score lies from 0 to 1"
    said = lorarack("compare", "--scores", path, *COSTS, "--loss", "--margin", "0.02")
    assert "a@1 is recommended: it is not worse than a@2 by 2 % of the loss (-0.5 %," in said.out


GOOD = '{"row": 1, "scores": {"a@1": 1, "a@2": 0}}\n'


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "has no scores; a comparison needs two versions"),
        ('{"row": 1, "scores": {"a@1": 1}}', "has scores of a@1 only; a comparison needs two versions"),
        ('{"row": 1, "scores": {}}', "has no scores"),
        (GOOD + "nonsense", "line 2: this is no JSON object like"),
        (GOOD + "[1]", "line 2: it needs a row and its scores, like"),
        (GOOD + '{"row": 2}', "line 2: it needs a row and its scores, like"),
        (GOOD + '{"scores": {"a@1": 1, "a@2": 0}}', "line 2: it needs a 'row'"),
        (GOOD + '{"row": true, "scores": {"a@1": 1, "a@2": 0}}', "line 2: it needs a 'row'"),
        (GOOD + GOOD, "line 2: row 1 was already scored on line 1"),
        (
            GOOD + '{"row": 2, "scores": {"a@1": 2, "a@2": 0}}',
            "line 2: the score of a@1 is 2, and must lie from 0 to 1",
        ),
        (GOOD + '{"row": 2, "scores": {"a@1": "1", "a@2": 0}}', 'the score of a@1 is "1", and must be a number'),
        (GOOD + '{"row": 2, "scores": {"a@1": [], "a@2": 0}}', "the score of a@1 is [], and must be a number"),
        (GOOD + '{"row": 2, "scores": {"a@1": 1e999, "a@2": 0}}', "the score of a@1 is inf"),
        (GOOD + '{"row": 2, "scores": {"": 1, "a@2": 0}}', "a score needs the name of its version"),
        (GOOD + '{"row": 2, "group": [1], "scores": {"a@1": 1, "a@2": 0}}', "'group' must be a text or a number"),
        (GOOD + "[" * 100_000, "line 2: this is no JSON object"),
        (
            GOOD + '{"row": 2, "scores": {"a@1": 1, "a@1": 0, "a@2": 0}}',
            "line 2: it has 'a@1' twice in one object; keep one",
        ),
        ('{"row": 1, "scores": {"a@1": 1, "a@2": null}}', "no row with a score of all 2 versions (a@1, a@2)"),
    ],
)
def test_a_bad_file_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "scores.jsonl"
    path.write_text(text)
    said = lorarack("compare", "--scores", path)
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1), said
    assert sentence in said.err
    assert "scores.jsonl" in said.err


@pytest.mark.parametrize("losses", [[(1, 0), (2, 0), (1, 0)], [(0, 0)], [(0, 1), (0, 2)], [(1e9, 1e-300)]])
def test_a_mean_loss_of_0_is_one_sentence(tmp_path: Path, losses: Scores) -> None:
    """The margin is a share of it, and so are the differences."""
    said = lorarack("compare", "--scores", write(tmp_path, losses), *COSTS, "--loss")
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1), said
    assert "The mean loss of a@" in said.err


def test_a_file_that_memory_would_not_hold_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "scores.jsonl"
    with path.open("wb") as file:
        file.truncate(2**36)  # holds nothing, and says that it has 64 GiB
    said = lorarack("compare", "--scores", path)
    assert (said.code, said.err.count("\n"), "scores.jsonl has 64.0 GiB" in said.err) == (2, 1, True), said


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--margin", "0"], "A margin of 0 is no margin"),
        (["--margin", "-0.1"], "A margin of -0.1 is no margin"),
        (["--margin", "1"], "A margin of 1 is no margin"),
        (["--margin", "nan"], "A margin of nan is no margin"),
        (["--cost", "a@1"], "--cost 'a@1' is not a version and its cost, like a@1=4"),
        (["--cost", "a@1=x"], "--cost 'a@1=x' is not a version and its cost"),
        (["--cost", "a@1=-1"], "is not a version and its cost"),
        (["--cost", "a@1=1", "--cost", "a@9=2"], "--cost names 'a@9', which has no scores; there are a@1, a@2"),
        (["--cost", "a@1=1", "--cost", "a@1=2"], "--cost names 'a@1' twice"),
        (["--cost", "a@1=1"], "--cost must name every version; a@2 is lacking"),
        (["a@1"], "leave out references and --data"),
    ],
)
def test_bad_flags_are_one_sentence(tmp_path: Path, flags: list[str], sentence: str) -> None:
    path = tmp_path / "scores.jsonl"
    path.write_text(GOOD)
    said = lorarack("compare", *flags, "--scores", path)
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1), said
    assert sentence in said.err


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    said = lorarack("compare", "--scores", tmp_path / "no.jsonl")
    assert (said.code, said.err.count("\n")) == (1, 1)
    assert "There is no file of scores" in said.err
    path = write(tmp_path, [(1, 1)])
    assert lorarack("compare", "--scores", path, "--registry", tmp_path / "none").code == 1
    assert lorarack("compare").code == 2


def test_neither_torch_nor_a_server_is_imported(tmp_path: Path) -> None:
    """Nor is a registry made in the home folder."""
    path = write(tmp_path, [(1, 1)] * 5)
    program = (
        "import sys; from pathlib import Path; from lorarack.adapters import compare_scores\n"
        f"found = compare_scores(Path({str(path)!r}), margin=0.05)\n"
        "assert found.verdict.recommended is None\n"
        "print([name for name in ('torch', 'transformers', 'vllm', 'openai', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert not (tmp_path / "nowhere").exists()
