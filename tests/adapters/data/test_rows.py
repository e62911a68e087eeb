"""Rows from JSON Lines, their digest, and what is refused."""

import json
from pathlib import Path

import pytest

from lorarack.adapters.data import load_rows
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
        ("[1]", "line 1: not a JSON object"),
        ("{}", "line 1: it has no 'prompt'"),
        ('{"prompt": "a"}', "line 1: it has no 'completion'"),
        ('{"prompt": "a", "completion": 4}', "'completion' is not a text"),
        ('{"prompt": "a", "completion": " "}', "'completion' is empty"),
        ('{"prompt": "a", "completion": "b", "messages": []}', "keep one of the two kinds"),
        (PLAIN + "\n" + CHAT, "line 2: the rows before it are of the other kind"),
        ('{"messages": []}', "not a list of two or more"),
        ('{"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]}', "by 'user'"),
        ('{"messages": [{"role": "user"}, {"role": "assistant", "content": "b"}]}', "its message 1 is not"),
        ('{"messages": [{"role": "boss", "content": "a"}, {"role": "assistant", "content": "b"}]}', "role 'boss'"),
        ('{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": ""}]}', "answer is empty"),
        (CHAT[:-1] + ', "tools": [{}]}', "'tools'"),
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
