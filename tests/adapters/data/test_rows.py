"""Rows from JSON Lines, their digest, and what is refused."""

import json
import os
from pathlib import Path

import pytest

from lorarack.adapters.data import Rows, load_rows
from lorarack.registry.errors import NotFound, UsageError

PLAIN = '{"prompt": "2 + 2 =", "completion": " 4"}'
CHAT = '{"messages": [{"role": "user", "content": "2 + 2?"}, {"role": "assistant", "content": "4"}]}'


def _write(folder: Path, text: str) -> Path:
    path = folder / "rows.jsonl"
    path.write_text(text, encoding="utf-8")
    return path


def test_both_kinds_of_row(tmp_path: Path) -> None:
    """A plain row keeps its text; a conversation keeps the turns before the answer."""
    (plain,) = load_rows(_write(tmp_path, PLAIN + "\n"))
    assert (plain.prompt, plain.completion, plain.prompt_messages) == ("2 + 2 =", " 4", [])
    (chat,) = load_rows(_write(tmp_path, CHAT))
    assert (chat.prompt, chat.completion) == (None, "4")
    assert chat.prompt_messages == [{"role": "user", "content": "2 + 2?"}]


def test_the_digest_is_of_the_rows_not_of_the_file(tmp_path: Path) -> None:
    """Spaces, key order, escapes, empty lines, line ends and a byte-order mark do not change it; a letter does."""
    rows = [{"prompt": "é", "completion": "b"}, {"prompt": "c", "completion": "d"}]
    first = load_rows(_write(tmp_path, "\n".join(json.dumps(row, ensure_ascii=False) for row in rows))).digest
    turned = "\ufeff" + "\r\n\r\n".join(json.dumps(dict(reversed(row.items())), indent=None) for row in rows) + "\r\n"
    assert load_rows(_write(tmp_path, turned)).digest == first
    rows[1]["completion"] = "D"
    assert load_rows(_write(tmp_path, "\n".join(json.dumps(row) for row in rows))).digest != first


def test_line_separators_inside_a_text_do_not_end_the_line(tmp_path: Path) -> None:
    """Unicode's own line separators are ordinary characters in JSON."""
    text = json.dumps({"prompt": "a\u2028b\x85c", "completion": "d"}, ensure_ascii=False)
    assert len(load_rows(_write(tmp_path, text))) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no rows"),
        ("\n \n", "has no rows"),
        (PLAIN + "\n{oops\n", "line 2: not JSON"),
        ("[1]", "row 1: not a JSON object"),
        ("{}", "line 1: it has no 'prompt'"),
        ('{"prompt": "a"}', "line 1: it has no 'completion'"),
        (
            '{"prompt": "a", "completion": null}',
            "'completion' is not a text but null; write a text, or leave the row out",
        ),
        ('{"prompt": "a", "completion": " "}', "'completion' is empty"),
        ('{"prompt": "a", "completion": "b", "messages": []}', "keep one of the two kinds"),
        (PLAIN + "\n" + CHAT, "line 2: the rows before it are of the other kind"),
        ('{"messages": []}', "not a list of two or more"),
        ('{"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]}', "by 'user'"),
        ('{"messages": [{"role": "user"}, {"role": "assistant", "content": "b"}]}', "its message 1 is not"),
        ('{"messages": [{"role": "boss", "content": "a"}, {"role": "assistant", "content": "b"}]}', "role 'boss'"),
        ('{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": ""}]}', "answer is empty"),
        (CHAT[:-1] + ', "tools": [{}]}', "a tool is not"),
        ('{"prompt": ' + "[" * 100_000 + "}", "line 1: not JSON"),
    ],
)
def test_the_first_wrong_line_is_named(tmp_path: Path, text: str, said: str) -> None:
    """One sentence, with the file's name and the line; never its path."""
    with pytest.raises(UsageError) as caught:
        load_rows(_write(tmp_path, text))
    assert said in caught.value.message
    assert "rows.jsonl" in caught.value.message
    assert str(tmp_path) not in caught.value.message
    assert "\n" not in caught.value.message


def test_a_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no data file"):
        load_rows(tmp_path / "none.jsonl")
    with pytest.raises(NotFound):
        load_rows(tmp_path)
    (tmp_path / "bad.jsonl").write_bytes(b'{"prompt": "\xff"}')
    with pytest.raises(UsageError, match="UTF-8"):
        load_rows(tmp_path / "bad.jsonl")


USER, ANSWER = {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def _load(folder: Path, *rows: object) -> Rows:
    return load_rows(_write(folder, "\n".join(json.dumps(row) for row in rows)))


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"prompt": "half \ud83d", "completion": "b"}, "lone surrogate"),
        ({"messages": [USER, ANSWER], "id\udc00": 1}, "lone surrogate"),
        ({"messages": [USER, ANSWER], "functions": [{"name": "f"}]}, "'functions'; write 'tools'"),
        ({"messages": [USER, ANSWER], "function_call": "auto"}, "'function_call'"),
        ({"messages": [USER, ANSWER], "system": "s"}, "first message of role 'system'"),
        ({"messages": [USER, ANSWER], "images": ["x.png"]}, "only text"),
        ({"messages": [USER, ANSWER], "reasoning_effort": "low"}, "'chat_template_kwargs'"),
        ({"messages": [USER, ANSWER], "chat_template": "x"}, "the base's own"),
        ({"messages": [USER, ANSWER], "chat_template_kwargs": {"tools": []}}, "'tools', which rendering sets"),
        ({"messages": [USER, ANSWER], "chat_template_kwargs": [1]}, "not a JSON object"),
        ({"messages": [USER, ANSWER], "documents": ["x"]}, "'documents'"),
        ({"messages": [USER, ANSWER], "tools": [{"name": "f", "input_schema": {}}]}, "a tool is not"),
        ({"messages": [USER, ANSWER], "rejected": "x"}, "preference"),
        ({"messages": [USER, ANSWER], "label": True}, "'label'"),
        ({"messages": [USER, ANSWER], "weight": 0.5}, "'weight'"),
        ({"messages": [USER, {**ANSWER, "weight": 0}]}, "nothing to learn"),
        ({"messages": [USER, {**ANSWER, "weight": 1}, USER, ANSWER]}, "only the last answer"),
        ({"messages": [USER, {**ANSWER, "weight": 2}]}, "neither 0 nor 1"),
        ({"messages": [USER, {**ANSWER, "function_call": {"name": "f"}}]}, "write it as 'tool_calls'"),
        ({"messages": [USER, {**ANSWER, "refusal": "no"}]}, "'refusal'"),
        ({"messages": [USER, {**ANSWER, "audio": {"id": "x"}}]}, "'audio'"),
        ({"messages": [USER, {**ANSWER, "reasoning_content": "x"}]}, "'reasoning'"),
        ({"messages": [USER, {**ANSWER, "thinking": "x"}]}, "'reasoning'"),
        ({"messages": [USER, {**ANSWER, "prefix": True}]}, "'prefix'"),
        ({"messages": [{**USER, "tool_calls": [CALL]}, ANSWER]}, "only a message of role 'assistant'"),
        ({"messages": [{**USER, "tool_call_id": "c"}, ANSWER]}, "only a message of role 'tool'"),
        ({"messages": [{"role": "function", "name": "f", "content": "x"}, ANSWER]}, "write 'tool'"),
        ({"messages": [{**USER, "content": None}, ANSWER]}, "its message 1 is not"),
        (
            {"messages": [{**USER, "content": [{"type": "image_url", "image_url": {"url": "x"}}]}, ANSWER]},
            "'image_url'",
        ),
        ({"messages": [{**USER, "content": [{"type": "input_audio"}]}, ANSWER]}, "'input_audio'"),
        ({"messages": [USER, {**ANSWER, "tool_calls": [{"name": "f", "arguments": {}}]}]}, "tool call 1 is not"),
        (
            {"messages": [USER, {**ANSWER, "tool_calls": [{"function": {"name": "f", "arguments": "[1]"}}]}]},
            "not a JSON object",
        ),
        ({"messages": [USER, {**ANSWER, "tool_calls": {}, "content": [3]}]}, "part 1"),
        ({"messages": [{"from": "human", "value": "a"}, ANSWER]}, "its turn 2 is not"),
        ({"conversations": [{"from": "human", "value": "a"}]}, "not a list of two or more"),
        ({"question": "a", "answer": "b"}, "--column prompt=question --column completion=answer"),
        ({"prompt": "a", "chosen": "b", "rejected": "c"}, "a preference pair"),
        ({"text": "a", "label": "b"}, "'columns: {prompt: text, completion: label}'"),
        ({"prompt": "a", "completion": "b", "label": False}, "'label'"),
        ({"prompt": "a", "completion": "b", "tools": [CALL]}, "only rows of 'messages'"),
        ({"prompt": [USER], "completion": [ANSWER, USER]}, "its last message is by 'user'"),
        ({"prompt": [USER], "completion": "b"}, "'prompt' is not a text"),
        ({"prompt": [], "completion": [ANSWER]}, "not a list of two or more"),
    ],
)
def test_a_key_with_a_meaning_is_never_dropped(tmp_path: Path, row: object, said: str) -> None:
    """It is kept, or its line, the key and the way out are named."""
    with pytest.raises(UsageError, match=r"rows\.jsonl, line 1: ") as caught:
        _load(tmp_path, row)
    assert said in caught.value.message
    assert "\n" not in caught.value.message


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="line 1: it has 'content' twice"):
        load_rows(_write(tmp_path, '{"messages": [{"role": "user", "content": "a", "content": "b"}]}'))


def test_not_json_although_python_reads_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="line 1: it holds NaN, which is not JSON"):
        load_rows(_write(tmp_path, '{"prompt": "a", "completion": "b", "score": NaN}'))


def test_what_merely_annotates_is_passed_over_and_counted(tmp_path: Path) -> None:
    """Keys that neither a prompt nor an answer holds; null and a server's own default say nothing."""
    rows = _load(
        tmp_path,
        {"messages": [{**USER, "id": 1}, {**ANSWER, "weight": 1, "refusal": None, "tool_calls": []}], "source": "x"},
        {
            "messages": [USER, {**ANSWER, "weight": 0}, USER, ANSWER],
            "parallel_tool_calls": False,
            "tools": None,
            "source": "y",
        },
    )
    assert rows.passed_over == {"source": 2, "messages[].id": 1, "parallel_tool_calls": 1}
    assert rows.note is not None
    assert "'source' (2 rows)" in rows.note
    assert _load(tmp_path, {"prompt": "a", "completion": "b"}).note is None


def test_a_conversation_in_two_halves_is_the_same_conversation(tmp_path: Path) -> None:
    """TRL's rows of messages as prompt and completion."""
    whole = _load(tmp_path, {"messages": [USER, ANSWER]})
    assert _load(tmp_path, {"prompt": [USER], "completion": [ANSWER]}).digest == whole.digest


def test_the_digest_of_plain_rows_is_that_of_earlier_releases(tmp_path: Path) -> None:
    """Reuse, provenance and metrics of 0.1.0 name their data by it."""
    rows = load_rows(_write(tmp_path, CHAT))
    assert rows.digest == "sha256:4790c41221f43f9a1d4639f9abea8e90fdc9798da0640627656981d8909d9bb2"
    assert rows.rows[0].question == '[["user", "2 + 2?"]]'
    assert (
        load_rows(_write(tmp_path, PLAIN)).digest
        == "sha256:401f7131cc5c36bd2cf2c7ec806f8c86ca7d4cbf48f189f244d85cd5fa2b1025"
    )


def test_what_a_request_holds_tells_rows_apart(tmp_path: Path) -> None:
    tool = {"type": "function", "function": {"name": "f"}}
    rows = _load(tmp_path, {"messages": [USER, ANSWER]}, {"messages": [USER, ANSWER], "tools": [tool]})
    assert len({row.question for row in rows}) == 2
    assert rows.rows[1].to_json() == {"messages": [USER, ANSWER], "tools": [tool]}


def test_a_pipe_is_read_and_one_that_nobody_writes_is_empty(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="has no rows"):
        load_rows(tmp_path / "pipe")
    for bad in (Path("/dev/zero"), tmp_path / "nul\0"):
        with pytest.raises(UsageError):
            load_rows(bad)
