"""The page and the plot."""

import json
import re
import struct
from pathlib import Path

import pytest
from tests.adapters.comparison.test_report import comparison, measured
from tests.command_line import lorarack

from lorarack.adapters.comparison.page import MOST_ROWS, as_html
from lorarack.adapters.comparison.plot import as_png, pareto_front
from lorarack.adapters.comparison.text_diff import LONGEST, diff_html
from lorarack.adapters.comparison.verdict import ComparedRow, Comparison


def with_rows(*rows: ComparedRow) -> Comparison:
    return comparison().model_copy(update={"disagreeing": rows})


EVIL = "<script>alert(1)</script>"


def test_what_strangers_wrote_is_escaped() -> None:
    row = ComparedRow(
        name=EVIL, scores={EVIL: 1.0, "a@2": 0.0}, prompt=EVIL, expected=f"yes {EVIL}", answers={EVIL: f"no {EVIL}"}
    )
    page = as_html(with_rows(row).model_copy(update={"title": EVIL, "score": EVIL}))
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 6
    assert "<del>yes</del><ins>no</ins> &lt;script&gt;alert" in page


def test_the_page_needs_nothing_from_elsewhere() -> None:
    page = as_html(with_rows(ComparedRow(name="line 1", scores={"orders@1": 0.0, "orders@2": 1.0})))
    sources = re.findall(r"(?:src|href)=\"([^\"]{0,30})", page)
    assert sources == ["data:image/png;base64,iVBORw0K"]
    assert not re.search(r"https?://|url\(|@import|<script|<link", page)
    assert "default-src 'none'" in page
    assert "orders@2 is recommended" in page
    assert "1 of 96 rows on which the versions disagree" in page


def test_many_rows_are_cut_and_counted() -> None:
    rows = [ComparedRow(name=f"line {n}", scores={"orders@1": 0.0}) for n in range(MOST_ROWS + 5)]
    page = as_html(with_rows(*rows))
    assert page.count("<details>") == MOST_ROWS
    assert f"{MOST_ROWS + 5} of 96 rows" in page
    assert f"The first {MOST_ROWS} are shown" in page


def test_long_texts_are_cut() -> None:
    assert f"… ({LONGEST} more characters)" in diff_html("", "x" * 2 * LONGEST)
    assert diff_html("a b c", "a c") == "a <del>b </del>c"


def test_the_plot_is_a_png_even_of_odd_names() -> None:
    odd = comparison().model_copy(update={"title": "$x^$ \x1b[31m <b>", "score": "$"})
    for shown in (comparison(), odd):
        picture = as_png(shown)
        assert picture.startswith(b"\x89PNG")
        assert struct.unpack(">II", picture[16:24])[0] > 800


def test_a_second_plot_has_the_time_between_tokens_where_it_was_measured() -> None:
    def width(shown: Comparison) -> int:
        return int(struct.unpack(">I", as_png(shown)[16:20])[0])

    assert width(measured()) > 1.5 * width(comparison())
    assert "<td>312 (540)</td><td>45 (61)</td>" in as_html(measured())


def test_the_front_holds_what_none_beats_in_both() -> None:
    found, costs = comparison(), {"orders@1": 8.0, "orders@2": 16.0}
    assert [version.reference for version in pareto_front(found, costs)] == ["orders@1", "orders@2"]
    assert [version.reference for version in pareto_front(found, {"orders@1": 5, "orders@2": 5})] == ["orders@2"]
    first, second = found.verdict.versions
    equal = found.verdict.model_copy(update={"versions": (first.model_copy(update={"score": 0.9}), second)})
    assert [one.reference for one in pareto_front(found.model_copy(update={"verdict": equal}), costs)] == ["orders@1"]


def test_files_are_written_by_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORARACK_HOME", str(tmp_path / "nowhere"))
    scores = tmp_path / "scores.jsonl"
    lines = [{"row": f"<{n}>", "scores": {"a@1": n % 2, "a@2": 1}} for n in range(20)]
    scores.write_text("\n".join(map(json.dumps, lines)))
    page, plot = tmp_path / "report.html", tmp_path / "plot.png"
    said = lorarack("compare", "--scores", scores, "--html", page, "--plot", plot, "--json")
    assert json.loads(said.out)["best"] == "a@2"
    assert "row &lt;0&gt;" in page.read_text()
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plot.png", "report.html", "scores.jsonl"]
    refused = lorarack("compare", "--scores", scores, "--html", tmp_path / "no" / "report.html")
    assert (refused.code, refused.out, refused.err.count("\n")) == (1, "", 1)
    assert "cannot be written" in refused.err
