"""What a comparison looks like to people and to programs."""

import json
from io import StringIO

from rich.console import Console
from tests.adapters.comparison.test_verdict import line, rights

from lorarack.adapters.comparison.report import Comparison, as_markdown, as_table
from lorarack.adapters.comparison.verdict import decide
from lorarack.registry.values import Dataset


def comparison() -> Comparison:
    base = line(0, rights(1, 24)).model_copy(update={"stride": 4})
    lines = (base, line(4, rights(72), loss=None), line(16, rights(84)))
    data = Dataset(split="test", name="held[out].jsonl", rows=96, digest="sha256:" + "a" * 64)
    return Comparison(score="json_exact", dataset=data, candidates=lines, verdict=decide(lines, binary=True))


def test_the_table_has_a_line_for_each_and_the_verdict_below() -> None:
    out = StringIO()
    Console(file=out, width=160).print(as_table(comparison()))
    text = out.getvalue()
    assert "held[out].jsonl: 96 rows" in text
    kept = next(row for row in text.splitlines() if "orders@16" in row)
    assert kept.split() == [
        "orders@16",
        "16",
        "87.5",
        "%",
        "(79–93)",
        "0.1000",
        "–",
        "0.02",
        "M",
        "62.5",
        "KiB",
        "keep",
    ]
    base = next(row for row in text.splitlines() if row.split()[:1] == ["smol"])
    assert base.split()[:7] == ["smol", "(24", "rows)", "base", "4.2", "%", "(1–20)"]
    assert comparison().verdict.reason in " ".join(text.split())


def test_numbers_are_whole_on_a_narrow_terminal() -> None:
    out = StringIO()
    Console(file=out, width=74).print(as_table(comparison()))
    assert "87.5 % (79–93)" in out.getvalue()
    assert "62.5 KiB" in out.getvalue()
    assert "orders@16" in next(row for row in out.getvalue().splitlines() if "87.5 %" in row)
    assert max(map(len, out.getvalue().splitlines())) <= 74


def test_markdown_is_one_table_with_as_many_cells_in_each_row() -> None:
    table, reason, measured = as_markdown(comparison()).split("\n\n")
    assert {row.count("|") for row in table.splitlines()} == {9}
    assert reason == comparison().verdict.reason
    assert measured == "Measured on 96 rows of held[out].jsonl (sha256:aaaaaaaaaaaa)."


def test_json_has_every_figure_but_no_single_scores() -> None:
    plain = json.loads(json.dumps(comparison().to_json()))
    assert plain["verdict"]["keep"] == "orders@16"
    assert plain["verdict"]["difference"]["wins"] == 12
    assert [entry["score"]["mean"] for entry in plain["candidates"]] == [1 / 24, 0.75, 0.875]
    assert "scores" not in plain["candidates"][0]
