"""What a comparison looks like to people and to programs."""

import json
from io import StringIO

import numpy as np
from rich.console import Console

from lorarack.adapters.comparison.margin_rule import judge
from lorarack.adapters.comparison.report import as_markdown, as_table
from lorarack.adapters.comparison.score_table import ScoreTable
from lorarack.adapters.comparison.verdict import BaseScore, Comparison, Quantiles, Speed
from lorarack.adapters.comparison.words import sentence
from lorarack.registry.values import Dataset


def comparison() -> Comparison:
    columns = [[1.0] * right + [0.0] * (96 - right) for right in (60, 84)]
    verdict = judge(
        ScoreTable(("orders@1", "orders@2"), np.array(columns).T), 0.05, {"orders@1": 8000, "orders@2": 16000}
    )
    facts = {"rank": 4, "parameters": 20_000, "bytes": 64_000, "validation_loss": 0.1}
    versions = (
        verdict.versions[0].model_copy(update=facts),
        verdict.versions[1].model_copy(update=facts | {"rank": 16}),
    )
    data = Dataset(split="test", name="held[out].jsonl", rows=96, digest="sha256:" + "a" * 64)
    return Comparison(
        verdict=verdict.model_copy(update={"versions": versions, "warnings": ("mind [this]",)}),
        title=data.name,
        score="json_exact",
        dataset=data,
        base=BaseScore(model="smol", rows=24, score=1 / 24, low=0.007, high=0.2),
    )


def measured() -> Comparison:
    """The same from an evaluation that measured how fast the versions answered, with a memory to fill."""
    speed = Speed(ttft=Quantiles(median=0.3121, p95=0.54), itl=Quantiles(median=0.045, p95=0.0612))
    found = comparison()
    versions = tuple(
        one.model_copy(update={"speed": speed, "slot": 2**20, "fits": 64}) for one in found.verdict.versions
    )
    return found.model_copy(
        update={"memory": 2**26, "verdict": found.verdict.model_copy(update={"versions": versions})}
    )


def shown(width: int, found: Comparison | None = None) -> str:
    out = StringIO()
    Console(file=out, width=width).print(as_table(found or comparison()))
    return out.getvalue()


def test_the_table_has_a_line_for_each_and_the_verdict_below() -> None:
    text = shown(160)
    assert "held[out].jsonl: 96 rows, margin 5 points" in text
    best = next(row for row in text.splitlines() if "orders@2" in row).split()
    assert best == ["orders@2", "16", "87.5", "%", "(79–93)", "–", "0.1000", "0.02", "M", "62.5", "KiB", "recommended"]
    other = next(row for row in text.splitlines() if "orders@1" in row)
    assert "-25.0 (-" in other
    assert other.rstrip().endswith("worse")
    base = next(row for row in text.splitlines() if row.split()[:1] == ["smol"])
    assert base.split()[:7] == ["smol", "(24", "rows)", "base", "4.2", "%", "(1–20)"]
    assert sentence(comparison().verdict) in " ".join(text.split())
    assert "mind [this]" in text


def test_numbers_are_whole_on_a_narrow_terminal() -> None:
    text = shown(96)
    assert "87.5 % (79–93)" in text
    assert "62.5 KiB" in text
    assert max(map(len, text.splitlines())) <= 96
    assert "312 (540)" in shown(96, measured())


def test_what_a_version_takes_of_a_server_is_a_table_of_its_own() -> None:
    lines = shown(100, measured()).splitlines()
    assert sum("orders@2" in line for line in lines) >= 3, "in both tables and the verdict"
    second = [line.split() for line in lines if line.split()[:1] == ["orders@2"]][1]
    assert second == ["orders@2", "1.0", "MiB", "64", "312", "(540)", "45", "(61)"]
    assert not any("TTFT" in line for line in shown(100).splitlines()), "nothing was measured"
    heads = as_markdown(measured()).splitlines()[0]
    assert "| slot | fit in 64.0 MiB | TTFT ms, median (p95) | ITL ms, median (p95) |" in heads


def test_markdown_is_one_table_with_as_many_cells_in_each_row() -> None:
    table, verdict, warning, measured = as_markdown(comparison()).split("\n\n")
    assert {row.count("|") for row in table.splitlines()} == {9}
    assert verdict == sentence(comparison().verdict)
    assert warning == "mind [this]"
    assert measured == "Margin 5 points, 96 rows of held[out].jsonl (sha256:aaaaaaaaaaaa)."


def test_json_is_the_verdict_and_nothing_else() -> None:
    plain = json.loads(json.dumps(comparison().to_json()))
    assert list(plain) == ["margin", "best", "recommended", "answer", "rows", "rows_needed", "versions", "warnings"]
    assert plain["recommended"] == "orders@2"
