"""Tables: what a CSV's header may look like, and values that JSON does not have."""

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from lorarack.adapters.data import ReadOptions, Rows, read_rows
from lorarack.registry.errors import UsageError

ASKED, ANSWER = {"role": "user", "content": "ask"}, {"role": "assistant", "content": "yes"}
DAY = dt.date(2020, 1, 2)


def _parquet(folder: Path, rows: list[dict[str, Any]]) -> Path:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.Table.from_pylist(rows), folder / "rows.parquet")
    return folder / "rows.parquet"


def _calling(value: object) -> dict[str, Any]:
    call = {"type": "function", "function": {"name": "book", "arguments": {"value": value, "n": 1}}}
    return {"messages": [ASKED, {"role": "assistant", "content": None, "tool_calls": [call]}]}


def _csv(folder: Path, text: str, name: str = "rows.csv") -> Rows:
    (folder / name).write_text(text, newline="")
    return read_rows(folder / name)


def test_days_and_times_of_a_table_are_iso_texts(tmp_path: Path) -> None:
    """In calls, tools and template arguments, and as an answer."""
    function = {"name": "f", "parameters": {"default": DAY}}
    beside = {"tools": [{"type": "function", "function": function}], "chat_template_kwargs": {"today": DAY}}
    rows = read_rows(_parquet(tmp_path, [_calling(dt.datetime(2020, 1, 2, 3, 4)) | beside] * 2))  # noqa: DTZ001
    assert rows.rows[0].answer_message.tool_calls[0].arguments == '{"value": "2020-01-02T03:04:00", "n": 1}'
    assert rows.rows[0].options.to_json()["chat_template_kwargs"] == {"today": "2020-01-02"}
    assert '"default":"2020-01-02"' in rows.rows[0].question
    assert rows.digest.startswith("sha256:")
    rows = read_rows(_parquet(tmp_path, [{"prompt": "when", "completion": DAY}]))
    assert rows.rows[0].completion == "2020-01-02"


@pytest.mark.parametrize("value", [Decimal("1.50"), b"bytes", float("nan"), float("inf"), dt.timedelta(1)])
@pytest.mark.parametrize("where", ["arguments", "tools", "chat_template_kwargs"])
def test_what_json_cannot_hold_is_refused_with_its_row(tmp_path: Path, where: str, value: object) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"default": value}}}
    row = {
        "arguments": _calling(value),
        "tools": {"messages": [ASKED, ANSWER], "tools": [tool]},
        "chat_template_kwargs": {"messages": [ASKED, ANSWER], "chat_template_kwargs": {"x": value}},
    }[where]
    named = {"arguments": "its message 2, tool call 1: its 'arguments' holds", "tools": "the tool 'f' holds"}
    with pytest.raises(UsageError, match=r"^rows\.parquet, row 1: .*which JSON has not") as caught:
        read_rows(_parquet(tmp_path, [row]))
    assert named.get(where, "its 'chat_template_kwargs' holds") in caught.value.message


def test_a_kind_that_json_has_not_is_no_fault_where_nobody_reads_it(tmp_path: Path) -> None:
    rows = read_rows(_parquet(tmp_path, [{"prompt": "a", "completion": "b", "price": Decimal("1.5"), "raw": b"x"}]))
    assert rows.passed_over == {"price": 1, "raw": 1}


def test_a_parquet_file_with_two_columns_of_one_name_is_refused(tmp_path: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = arrow.table([["a"], ["b"], ["c"]], names=["prompt", "completion", "completion"])
    parquet.write_table(table, tmp_path / "rows.parquet")
    with pytest.raises(UsageError, match=r"rows\.parquet has two columns of one name, 'completion'; name each once"):
        read_rows(tmp_path / "rows.parquet")


@pytest.mark.parametrize(
    ("text", "unread"),
    [(",prompt,completion\n0,a,b\n1,c,d\n", {"column 1": 2}), ("prompt,completion,\na,b,\nc,d,\n", {})],
)
def test_a_column_without_a_name_is_passed_over(tmp_path: Path, text: str, unread: dict[str, int]) -> None:
    """An index that pandas wrote is counted; what a comma too much leaves empty is not. By its place it can be asked for."""
    rows = _csv(tmp_path, text)
    assert [(row.prompt, row.completion) for row in rows] == [("a", "b"), ("c", "d")]
    assert rows.passed_over == unread
    (tmp_path / "named.csv").write_text("prompt,\na,b\n")
    asked = ReadOptions(columns={"prompt": "prompt", "completion": "column 2"})
    assert read_rows(tmp_path / "named.csv", asked).rows[0].completion == "b"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("rows.csv", 'prompt;completion;"notes, more"\na;b;c\n', "semicolons"),
        ("rows.csv", "prompt;completion;notes, more\na;b;c, d\n", "semicolons"),
        ("rows.csv", "prompt\tcompletion\tnotes, more\na\tb\tc\n", "tabs"),
        ("rows.tsv", "prompt\tcompletion\tnotes, more, and more, still\na\tb\tc, d, e, f\n", "tabs"),
        ("rows.csv", "prompt,completion,x;y;z\na,b,c\n", None),
        ("rows.csv", "sep=;\r\nprompt;completion\r\na;b\r\n", "semicolons"),
        ("rows.csv", '"sep=|"\nprompt|completion\na|b\n', "'|'"),
        ("rows.csv", "prompt,completion\ra,b\r", None),
        ("rows.csv", "prompt;completion;x\ra;b;c, d, e\r", "semicolons"),
        ("rows.csv", 'prompt,completion,"notes\n; ; ; ;"\na,b,c\n', None),
    ],
)
def test_what_parts_the_cells_is_found(tmp_path: Path, name: str, text: str, said: str | None) -> None:
    """Also beside marks inside quotes, after the line by which Excel says it, and with a Macintosh's line ends."""
    rows = _csv(tmp_path, text, name)
    assert [(row.prompt, row.completion) for row in rows] == [("a", "b")]
    assert rows.notes == ((f"{name}: {said} part its cells.",) if said else ())


def test_a_header_that_is_not_csv_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^rows\.csv: its header is not CSV .*; put a cell with quotes"):
        _csv(tmp_path, '"prompt,completion\na,b\n')


def test_lines_count_from_the_top_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"rows\.csv, line 3: its 'completion' is empty"):
        _csv(tmp_path, "sep=;\nprompt;completion\na;\n")


@pytest.mark.parametrize("cell", ["[1, 2", '[{"role": "user", "content": NaN}]'])
def test_a_cell_that_is_not_json_is_blamed_itself(tmp_path: Path, cell: str) -> None:
    with pytest.raises(UsageError, match=r"^rows\.csv, line 2: its 'messages' (is not JSON|cannot be read)") as caught:
        _csv(tmp_path, f'messages\n"{cell.replace(chr(34), chr(34) * 2)}"\n')
    assert "a line" not in caught.value.message


def test_a_table_without_rows_says_so(tmp_path: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.table({"prompt": arrow.array([], arrow.string())}), tmp_path / "rows.parquet")
    (tmp_path / "rows.csv").write_text("prompt,completion\n")
    (tmp_path / "rows.json").write_text("[]")
    for name in ("rows.parquet", "rows.csv", "rows.json"):
        with pytest.raises(UsageError) as caught:
            read_rows(tmp_path / name)
        assert caught.value.message == f"{name} has no rows; add some, or name other data."
