"""JSON that is not JSON, and values that are no texts: each fault is said where it is."""

import json
from pathlib import Path
from typing import Any

import pytest

from lorarack.adapters.data import ReadOptions, Rows, read_rows
from lorarack.registry.errors import UsageError

PAIR = '{"prompt": "a", "completion": "b"}'
UNENDED = "the array needs a comma or its closing bracket after it"
ASKED, ANSWER = {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}


def _read(folder: Path, text: str, name: str = "rows.jsonl") -> Rows:
    (folder / name).write_text(text)
    return read_rows(folder / name)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"[\n{PAIR},\n{PAIR}\n{PAIR}\n]", f"row 2: not JSON ({UNENDED}, at line 4, column 1)"),
        (f'[\n{PAIR},\n{{"prompt" "a"}}\n]', "row 2: not JSON (expecting ':' delimiter at line 3, column 11)"),
        (f"[{PAIR}", f"row 1: not JSON ({UNENDED}, at column 36)"),
        (f"[{PAIR},]", "row 2: not JSON (expecting value at column 37)"),
        (f"[\n{PAIR}]\n{PAIR}", "row 1: not JSON (more text follows the array, at line 3, column 1)"),
        (f'[{PAIR}, {{"prompt": NaN}}]', "row 2: it holds NaN, which is not JSON; write null or leave it out"),
        (f'[{PAIR}, {{"x": 1, "x": 2}}]', "row 2: it has 'x' twice in one object; keep one"),
        (f'[{PAIR}, {{"x": "\\ud83d"}}]', "row 2: it contains a lone surrogate, which no tokenizer accepts; replace or remove it"),
    ],
)  # fmt: skip
def test_a_broken_array_says_row_line_and_column(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        _read(tmp_path, text, "rows.json")
    assert caught.value.message == f"rows.json, {said}."


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"prompt": "a",, "completion": "b"}', "at column 16); write one JSON object a line."),
        (PAIR + PAIR, "more text follows the value, at column 35); write one JSON object a line."),
        ('{"prompt": -Infinity}', "it holds -Infinity, which is not JSON; write null or leave it out."),
    ],
)
def test_a_broken_line_says_its_column(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(UsageError, match=r"^rows\.jsonl, line 2: ") as caught:
        _read(tmp_path, f"{PAIR}\n{line}\n")
    assert caught.value.message.endswith(said)


def test_a_call_that_is_not_json_is_blamed_itself(tmp_path: Path) -> None:
    turns = [{"from": "human", "value": "a"}, {"from": "function_call", "value": "{oops"}]
    with pytest.raises(UsageError, match=r"line 2: its turn 2, a function_call, is not JSON \(.*column 2\)") as caught:
        _read(tmp_path, "\n" + json.dumps({"conversations": turns}))
    assert "a line" not in caught.value.message


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ('{"a": 1e999}', "its 'arguments' holds NaN or an infinite number"),
        ('{"a": NaN}', "its 'arguments' cannot be read: it holds NaN"),
        ("{'a': 1}", "its 'arguments' is not JSON"),
        ('{"a": "\\ud83d"}', "lone surrogate"),
    ],
)
def test_arguments_are_json_that_everybody_reads(tmp_path: Path, arguments: str, said: str) -> None:
    call = {"type": "function", "function": {"name": "f", "arguments": arguments}}
    row = {"messages": [ASKED, {"role": "assistant", "content": None, "tool_calls": [call]}]}
    with pytest.raises(UsageError, match=r"line 1: its message 2, tool call 1: ") as caught:
        _read(tmp_path, json.dumps(row))
    assert said in caught.value.message


def test_an_infinite_number_in_an_object_is_refused(tmp_path: Path) -> None:
    call = '{"function": {"name": "f", "arguments": {"a": 1e999}}}'
    turn = f'{{"role": "assistant", "content": null, "tool_calls": [{call}]}}'
    with pytest.raises(
        UsageError, match="line 1: its message 2, tool call 1: its 'arguments' holds NaN or an infinite"
    ):
        _read(tmp_path, f'{{"messages": [{json.dumps(ASKED)}, {turn}]}}')
    assert _read(tmp_path, '{"prompt": "a", "completion": "b", "score": 1e999}').passed_over == {"score": 1}


@pytest.mark.parametrize(("value", "text"), [(5, "5"), (0, "0"), (2.5, "2.5"), (True, "true"), (False, "false")])
def test_numbers_and_truths_are_their_texts(tmp_path: Path, value: object, text: str) -> None:
    """Whatever the form, and with named columns as without."""
    rows: list[dict[str, Any]] = [
        {"prompt": "a", "completion": value},
        {"instruction": "a", "input": "", "output": value},
        {"instruction": "a", "output": value},
    ]
    assert [_read(tmp_path, json.dumps(row)).rows[0].completion for row in rows] == [text] * 3
    (tmp_path / "rows.jsonl").write_text(json.dumps({"question": value, "answer": value}))
    (row,) = read_rows(tmp_path / "rows.jsonl", ReadOptions(columns={"prompt": "question", "completion": "answer"}))
    assert (row.prompt, row.completion) == (text, text)


@pytest.mark.parametrize("tools", [list, json.dumps])
def test_tools_may_be_functions_alone(tmp_path: Path, tools: Any) -> None:
    """LLaMA-Factory writes them without what wraps a function; both are the same tool."""
    function = {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {}}}
    turns = [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]
    (row,) = _read(tmp_path, json.dumps({"conversations": turns, "tools": tools([function])}))
    assert row.options.to_json() == {"tools": [{"type": "function", "function": function}]}
