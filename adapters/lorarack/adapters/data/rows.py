"""Rows of a data set: what the model is given, and what it should answer."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lorarack.adapters.data.messages import Message, PromptOptions
from lorarack.adapters.data.options import Answers
from lorarack.adapters.data.records import Part, part_of


@dataclass(frozen=True, slots=True)
class Row:
    """What the model is given, and what it should answer.

    A conversation has ``messages``, a plain prompt has ``prompt``; a plain text, which is learned whole, has neither.
    ``completion`` is the answer's text; ``answer`` is the whole answer where it is more than a text. ``line`` is its place in
    the source.
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
    def kind(self) -> str:
        """``chat``, ``plain`` or ``text``: what the row is, whatever shape it was written in."""
        return "chat" if self.messages else "text" if self.prompt is None else "plain"

    @property
    def question(self) -> str:
        """The prompt in one text, for display and for identifying rows; of a plain text, the text."""
        if self.kind != "chat":
            return self.completion if self.prompt is None else self.prompt
        if all(message.is_plain for message in self.messages) and not self.options.to_json():
            return json.dumps([[message.role, message.content] for message in self.messages], ensure_ascii=False)
        return _canonical({"messages": self.prompt_messages, **self.options.to_json()})

    @property
    def opening(self) -> str:
        """The question up to the first user's turn: all rows of one conversation share it."""
        users = (place for place, message in enumerate(self.messages, start=1) if message.role == "user")
        return replace(self, messages=self.messages[: next(users, None)]).question

    def to_json(self) -> dict[str, Any]:
        """The row as it may stand in a file."""
        if self.kind == "chat":
            return {"messages": [*self.prompt_messages, self.answer_message.to_json()], **self.options.to_json()}
        return (
            {"text": self.completion} if self.prompt is None else {"prompt": self.prompt, "completion": self.completion}
        )


@dataclass(frozen=True, slots=True)
class Shape:
    """In which form rows were written.

    Attributes:
        name: what the form is called, in the plural (``ShareGPT conversations``).
        records: how many the source held; a conversation of several answers is one.
        answers: the answers in all of them.
        learned: which of a conversation's answers became rows.
    """

    name: str = "rows"
    records: int = 0
    answers: int = 0
    learned: Answers = "last"


@dataclass(frozen=True, slots=True)
class Rows:
    """A data set: its rows in order, and the name of the file that held them (never its path).

    ``passed_over`` counts the rows that have a key which is not read. ``unit`` is what ``Row.line`` counts. ``notes`` are what
    a user should know about how the rows were found; ``commit`` is that of a data set on the Hub; ``parts`` are its files where
    it has several.
    """

    name: str
    rows: tuple[Row, ...]
    passed_over: Mapping[str, int] = field(default_factory=dict, compare=False)
    shape: Shape = field(default_factory=Shape, compare=False)
    unit: str = field(default="line", compare=False)
    notes: tuple[str, ...] = field(default=(), compare=False)
    commit: str | None = field(default=None, compare=False)
    parts: tuple[Part, ...] = field(default=(), compare=False)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def chat(self) -> bool:
        """Whether the rows are conversations, rather than plain prompts or texts."""
        return bool(self.rows) and self.rows[0].kind == "chat"

    @property
    def digest(self) -> str:
        """``sha256:`` of the rows in canonical JSON: the same rows in the same order, however the file is formatted."""
        lines = "\n".join(_canonical(row.to_json()) for row in self)
        return f"sha256:{hashlib.sha256(lines.encode('utf-8', 'surrogatepass')).hexdigest()}"

    @property
    def note(self) -> str | None:
        """The ignored keys in one sentence; None where every key was read."""
        if not self.passed_over:
            return None
        keys = ", ".join(f"{key!r} ({count} rows)" for key, count in sorted(self.passed_over.items()))
        return f"{self.name}: ignored, since they reach neither prompt nor answer: {keys}."

    @property
    def described(self) -> str:
        """What the rows are, in one line: ``rows.jsonl: rows are ShareGPT conversations: 240 rows, …``."""
        shape = self.shape
        said = f"{self.name}: rows are {shape.name}: {shape.records} rows"
        if not self.chat:
            return f"{said}, loss on {'the whole text' if self.rows[0].kind == 'text' else 'the answer'}."
        if shape.answers == shape.records:
            return f"{said}, loss on the assistant's answer."
        every = f"loss on {len(self)} of them" if shape.learned == "every" else "loss on the last of each row"
        more = "" if shape.learned == "every" else " (answers: every learns them all)"
        return f"{said}, {shape.answers} answers, {every}{more}."

    def where(self, row: Row) -> str:
        """``rows.jsonl, line 3``; in a folder of several files, ``shards (train), line 3 of b.jsonl``."""
        file = self.name.removesuffix(" (part)")
        if not row.line:
            return f"{file}, row {self.rows.index(row) + 1}"
        part = part_of(self.parts, row.line)
        return (
            f"{file}, {part.unit} {row.line - part.before} of {part.name}"
            if part
            else f"{file}, {self.unit} {row.line}"
        )


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
