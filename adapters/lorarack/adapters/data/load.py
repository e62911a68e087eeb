"""Rows read from a source: records found, their form recognised, and each held to what a row may be.

Keys that a chat format gives a meaning are kept or refused; keys that only annotate are ignored and counted.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lorarack.adapters.data.columns import passed_over, renamed, text_of
from lorarack.adapters.data.conversation import count_answers, read_messages, read_options, unread_keys
from lorarack.adapters.data.options import ReadOptions
from lorarack.adapters.data.records import WrongRecord
from lorarack.adapters.data.row_keys import ROW_KEYS, given
from lorarack.adapters.data.rows import Row, Rows, Shape
from lorarack.adapters.data.shapes import recognise
from lorarack.adapters.data.source import open_source
from lorarack.registry.errors import UsageError

_CHAT_READ = ("messages", "tools", "documents", "chat_template_kwargs")


def load_rows(source: Path | str, options: ReadOptions | None = None) -> Rows:
    """Read questions and their answers, as ``read_rows`` does.

    Raises:
        NotFound, UsageError, Unavailable, NotAllowed: as ``read_rows``; plain texts have no answers, and are refused.
    """
    rows = read_rows(source, options)
    if rows.rows[0].kind == "text":
        raise UsageError(
            f"{rows.name} holds plain texts, which have no answers; part them into 'prompt' and 'completion'.",
            code="bad_data",
        )
    return rows


def read_rows(source: Path | str, options: ReadOptions | None = None) -> Rows:
    """Read a file, a folder or a data set on the Hub, in whatever form its rows are written. Empty lines are ignored.

    Raises:
        NotFound: no such file, folder, data set, or split of it.
        UsageError: the sentence names the first row that is wrong and what to write there.
        Unavailable: the Hub is not reached.
        NotAllowed: the Hub refuses the token.
    """
    options = options or ReadOptions()
    records = open_source(source, options)
    rows: list[Row] = []
    unread: Counter[str] = Counter()
    shapes: Counter[str] = Counter()
    answers, number = 0, 0
    try:
        for number, found in records.found:
            form, row, keys = _recognised(found, options)
            made = _rows(row, number, options)
            if rows and made[0].kind != rows[0].kind:
                raise WrongRecord("the rows before it are of the other kind; use 'messages' or 'prompt' in all of them")
            answers += count_answers(row["messages"]) if "messages" in row else 1
            rows.extend(made)
            shapes[form] += 1
            unread.update(keys | _unread(row))
    except WrongRecord as error:
        at = records.where(error.number or number)
        raise UsageError(f"{at}: {error}.", code="bad_data") from error
    if not rows:
        raise UsageError(f"{records.name} has no rows; add some, or name other data.", code="empty_data")
    rows = _as_wished(rows, records.name, options.chat)
    shape = Shape(" and ".join(sorted(shapes)), sum(shapes.values()), answers, options.answers)
    notes = (records.note,) if records.note else ()
    return Rows(
        records.name, tuple(rows), dict(unread), shape, records.unit, notes, records.commit, tuple(records.parts)
    )


def _recognised(found: Any, options: ReadOptions) -> tuple[str, dict[str, Any], set[str]]:
    """The form's name, the record in our own form, and its columns that are not read."""
    if not isinstance(found, dict):
        raise WrongRecord('not a JSON object; write {"prompt": …, "completion": …} or {"messages": […]}')
    unread = passed_over(found, options.columns) if options.columns else set()
    shape, row = recognise(renamed(found, options.columns) if options.columns else found, options.chat)
    _refuse_keys(row)
    return shape, row, unread


def _refuse_keys(found: Mapping[str, Any]) -> None:
    for key, way_out in ROW_KEYS.items():
        if given(found, key):
            raise WrongRecord(f"it has {key!r}; {way_out}")
    if isinstance(found.get("label"), bool):
        raise WrongRecord(
            "it has a 'label' of true or false; ratings are not trained on, so keep the good answers and leave it out"
        )
    chat_only = next((key for key in _CHAT_READ[1:] if given(found, key) and "messages" not in found), None)
    if chat_only:
        raise WrongRecord(f"it has {chat_only!r}, which only rows of 'messages' can have; write the prompt as messages")


def _unread(found: Mapping[str, Any]) -> set[str]:
    if "messages" in found:
        return {key for key in found if key not in _CHAT_READ and given(found, key)} | {*unread_keys(found["messages"])}
    read = ("prompt", "completion") if "prompt" in found else ("text",)
    return {key for key in found if key not in read and given(found, key)}


def _rows(found: Mapping[str, Any], number: int, options: ReadOptions) -> list[Row]:
    if "messages" in found:
        given_beside = read_options(found)
        return [
            Row(last.text, messages=before, options=given_beside, answer=None if last.is_plain else last, line=number)
            for before, last in read_messages(found["messages"], options.answers)
        ]
    keys = ("prompt", "completion") if "prompt" in found else ("text",)
    texts = {key: text_of(found[key], key) for key in keys}
    for key, text in texts.items():
        if not text.strip():
            raise WrongRecord(f"its {key!r} is empty; write a text, or leave the row out")
    return [Row(texts[keys[-1]], prompt=texts.get("prompt"), line=number)]


def _as_wished(rows: list[Row], name: str, chat: bool | None) -> list[Row]:
    """Prompts and answers as conversations, where these are wished for."""
    kind = rows[0].kind
    if chat is None or (chat and kind == "chat") or (not chat and kind != "chat"):
        return rows
    if not chat or kind == "text":
        holds = "conversations" if kind == "chat" else "plain texts"
        raise UsageError(
            f"{name} holds {holds}, and 'chat' under data is for prompts and their answers; leave it out.",
            code="bad_data",
        )
    from lorarack.adapters.data.messages import Message

    return [replace(row, prompt=None, messages=(Message("user", row.prompt or ""),)) for row in rows]
