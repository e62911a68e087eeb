"""Rows of a data set, from JSON Lines.

A row is ``{"prompt": text, "completion": text}`` or ``{"messages": [{"role": …, "content": …}, …]}``, whose last message is
the assistant's: the answer. A file holds rows of one of the two kinds. Keys that a chat format gives a meaning are kept or
refused; what merely annotates is passed over and counted.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from lorarack.adapters.data.conversation import WrongLine, read_messages, read_options, unread_keys
from lorarack.adapters.data.messages import Message, PromptOptions
from lorarack.adapters.data.row_keys import OTHER_FORMATS, ROW_KEYS, given
from lorarack.adapters.data.text_file import read_text_file
from lorarack.registry.errors import UsageError


@dataclass(frozen=True, slots=True)
class Row:
    """What the model is given, and what it should answer. Either ``prompt`` or ``messages`` is set.

    ``completion`` is the answer's text; ``answer`` is the whole answer where it is more than a text. ``line`` is its place in
    the file.
    """

    completion: str
    prompt: str | None = None
    messages: tuple[Message, ...] = ()
    options: PromptOptions = field(default_factory=PromptOptions)
    answer: Message | None = None
    line: int | None = field(default=None, compare=False)

    @property
    def prompt_messages(self) -> list[dict[str, Any]]:
        """The conversation before the answer, as a server takes it; empty for a plain prompt."""
        return [message.to_json() for message in self.messages]

    @property
    def answer_message(self) -> Message:
        """The answer as a turn of the conversation."""
        return self.answer or Message("assistant", self.completion)

    @property
    def question(self) -> str:
        """The prompt in one text, for people and for telling rows apart."""
        if self.prompt is not None:
            return self.prompt
        if all(message.is_plain for message in self.messages) and not self.options.to_json():
            return json.dumps([[message.role, message.content] for message in self.messages], ensure_ascii=False)
        return _canonical({"messages": self.prompt_messages, **self.options.to_json()})

    def to_json(self) -> dict[str, Any]:
        """The row as it may stand in a file."""
        if self.prompt is not None:
            return {"prompt": self.prompt, "completion": self.completion}
        return {"messages": [*self.prompt_messages, self.answer_message.to_json()], **self.options.to_json()}


@dataclass(frozen=True, slots=True)
class Rows:
    """A data set: its rows in order, and the name of the file that held them (never its path).

    ``passed_over`` counts the rows that have a key which is not read.
    """

    name: str
    rows: tuple[Row, ...]
    passed_over: Mapping[str, int] = field(default_factory=dict, compare=False)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def chat(self) -> bool:
        """Whether the rows are conversations, rather than plain prompts."""
        return bool(self.rows) and self.rows[0].prompt is None

    @property
    def digest(self) -> str:
        """``sha256:`` of the rows in canonical JSON: the same rows in the same order, however the file is formatted."""
        lines = "\n".join(_canonical(row.to_json()) for row in self)
        return f"sha256:{hashlib.sha256(lines.encode('utf-8', 'surrogatepass')).hexdigest()}"

    @property
    def note(self) -> str | None:
        """What was passed over, in one sentence; None where every key was read."""
        if not self.passed_over:
            return None
        keys = ", ".join(f"{key!r} ({count} rows)" for key, count in sorted(self.passed_over.items()))
        return f"{self.name}: passed over, since they reach neither prompt nor answer: {keys}."

    def where(self, row: Row) -> str:
        """``rows.jsonl, line 3``."""
        file = self.name.removesuffix(" (part)")
        return f"{file}, line {row.line}" if row.line else f"{file}, row {self.rows.index(row) + 1}"


def load_rows(path: Path | str) -> Rows:
    """Read a JSON Lines file. Empty lines are passed over.

    Raises:
        NotFound: no such file.
        UsageError: the sentence names the first line that is wrong and what to write there.
    """
    path = Path(path)
    rows: list[Row] = []
    passed_over: Counter[str] = Counter()
    for number, line in enumerate(read_text_file(path, "data file", "data").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row, unread = _parse(line, number)
            if rows and (row.prompt is None) != (rows[0].prompt is None):
                raise WrongLine("the rows before it are of the other kind; use 'messages' or 'prompt' in all of them")
        except WrongLine as error:
            raise UsageError(f"{path.name}, line {number}: {error}.", code="bad_data") from error
        rows.append(row)
        passed_over.update(unread)
    if not rows:
        raise UsageError(f"{path.name} has no rows; write one JSON object a line.", code="empty_data")
    return Rows(path.name, tuple(rows), dict(passed_over))


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _parse(line: str, number: int) -> tuple[Row, set[str]]:
    """The row, and its keys that are not read."""
    try:
        found = json.loads(line, parse_constant=_no_constant, object_pairs_hook=_object)
        json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise WrongLine(
            "it has half of a character (a lone surrogate), which no tokenizer takes; write the character whole or leave it out"
        ) from error
    except (ValueError, RecursionError) as error:
        raise WrongLine("not JSON; write one JSON object a line") from error
    if not isinstance(found, dict):
        raise WrongLine('not a JSON object; write {"prompt": …, "completion": …} or {"messages": […]}')
    found = _one_conversation(found)
    _refuse_keys(found)
    if "messages" in found:
        return _conversation(found, number), {*_unread(found, _CHAT_READ), *unread_keys(found["messages"])}
    return _plain(found, number), _unread(found, ("prompt", "completion"))


_CHAT_READ = ("messages", "tools", "documents", "chat_template_kwargs")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose keys each stand once: readers do not agree on which of two counts."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise WrongLine(f"it has {twice[:40]!a} twice in one object; keep one")
    return found


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


def _unread(found: Mapping[str, Any], read: tuple[str, ...]) -> set[str]:
    return {key for key in found if key not in read and given(found, key)}


def _one_conversation(found: dict[str, Any]) -> dict[str, Any]:
    """A prompt and a completion that are lists of messages are one conversation."""
    if "messages" in found:
        if "prompt" in found or "completion" in found:
            raise WrongLine("it has 'messages' and also 'prompt' or 'completion'; keep one of the two kinds")
        return found
    prompt, completion = found.get("prompt"), found.get("completion")
    if not isinstance(prompt, list) or not isinstance(completion, list):
        return found
    if len(completion) != 1:
        raise WrongLine("its 'completion' is not one message; one answer a row is learned, so write a row for each")
    rest = {key: value for key, value in found.items() if key not in ("prompt", "completion")}
    return {"messages": [*prompt, *completion], **rest}


def _refuse_keys(found: Mapping[str, Any]) -> None:
    ours = "messages" in found or ("prompt" in found and "completion" in found)
    other = next((said for key, said in OTHER_FORMATS.items() if key in found and not ours), None)
    if other:
        raise WrongLine(f"it has no 'prompt' and 'completion': it is {other}")
    for key, way_out in ROW_KEYS.items():
        if given(found, key):
            raise WrongLine(f"it has {key!r}; {way_out}")
    if isinstance(found.get("label"), bool):
        raise WrongLine(
            "it has a 'label' of true or false; ratings are not trained on, so keep the good answers and leave it out"
        )
    chat_only = next((key for key in _CHAT_READ[1:] if given(found, key) and "messages" not in found), None)
    if chat_only:
        raise WrongLine(f"it has {chat_only!r}, which only rows of 'messages' can have; write the prompt as messages")


def _plain(found: Mapping[str, Any], number: int) -> Row:
    for key in ("prompt", "completion"):
        if key not in found:
            raise WrongLine(f'it has no {key!r}; write {{"prompt": …, "completion": …}} or {{"messages": […]}}')
        if not isinstance(found[key], str):
            raise WrongLine(f"its {key!r} is not a text")
        if not found[key].strip():
            raise WrongLine(f"its {key!r} is empty")
    return Row(completion=found["completion"], prompt=found["prompt"], line=number)


def _conversation(found: Mapping[str, Any], number: int) -> Row:
    before, last = read_messages(found["messages"])
    answer = None if last.is_plain else last
    return Row(last.text, messages=before, options=read_options(found), answer=answer, line=number)
