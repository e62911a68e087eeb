"""Rows of a data set, from JSON Lines.

A row is ``{"prompt": text, "completion": text}`` or ``{"messages": [{"role": …, "content": text}, …]}``, whose last message
is the assistant's: the completion. Other keys are passed over. A file holds rows of one of the two kinds.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from lorarack.registry.errors import NotFound, UsageError

ROLES = ("system", "user", "assistant", "tool")


class _WrongLine(Exception):
    """What is wrong with one line; ``load_rows`` adds where."""


class Message(NamedTuple):
    """One turn of a conversation."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Row:
    """What the model is given, and what it should answer. Either ``prompt`` or ``messages`` is set."""

    completion: str
    prompt: str | None = None
    messages: tuple[Message, ...] = ()

    @property
    def prompt_messages(self) -> list[dict[str, str]]:
        """The conversation before the answer, as chat templates and servers take it; empty for a plain prompt."""
        return [message._asdict() for message in self.messages]

    @property
    def question(self) -> str:
        """The prompt in one text, for people and for telling rows apart."""
        if self.prompt is not None:
            return self.prompt
        return json.dumps([list(message) for message in self.messages], ensure_ascii=False)

    def to_json(self) -> dict[str, Any]:
        """The row as it may stand in a file."""
        if self.prompt is not None:
            return {"prompt": self.prompt, "completion": self.completion}
        return {"messages": [*self.prompt_messages, {"role": "assistant", "content": self.completion}]}


@dataclass(frozen=True, slots=True)
class Rows:
    """A data set: its rows in order, and the name of the file that held them (never its path)."""

    name: str
    rows: tuple[Row, ...]

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
        lines = (json.dumps(row.to_json(), sort_keys=True, separators=(",", ":"), ensure_ascii=False) for row in self)
        return f"sha256:{hashlib.sha256(chr(10).join(lines).encode('utf-8', 'surrogatepass')).hexdigest()}"


def load_rows(path: Path | str) -> Rows:
    """Read a JSON Lines file. Empty lines are passed over.

    Raises:
        NotFound: no such file. UsageError: the sentence names the first line that is wrong and what to write there.
    """
    path = Path(path)
    rows: list[Row] = []
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = _parse(line)
            if rows and (row.prompt is None) != (rows[0].prompt is None):
                raise _WrongLine("the rows before it are of the other kind; use 'messages' or 'prompt' in all of them")
        except _WrongLine as error:
            raise UsageError(f"{path.name}, line {number}: {error}.", code="bad_data") from error
        rows.append(row)
    if not rows:
        raise UsageError(f"{path.name} has no rows; write one JSON object a line.", code="empty_data")
    return Rows(path.name, tuple(rows))


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise NotFound(f"There is no data file {str(path)!r}.", code="no_data") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path.name} is not UTF-8 text; save it as UTF-8 JSON Lines.", code="bad_data") from error
    except OSError as error:
        raise UsageError(f"{str(path)!r} cannot be read: {error.strerror}.", code="bad_data") from error


def _parse(line: str) -> Row:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _WrongLine("not JSON; write one JSON object a line") from error
    if not isinstance(found, dict):
        raise _WrongLine('not a JSON object; write {"prompt": …, "completion": …} or {"messages": […]}')
    if "messages" in found and ("prompt" in found or "completion" in found):
        raise _WrongLine("it has 'messages' and also 'prompt' or 'completion'; keep one of the two kinds")
    if found.get("tools"):
        raise _WrongLine("it has 'tools', which this version does not train on; put them into the system message")
    return _conversation(found["messages"]) if "messages" in found else _plain(found)


def _plain(found: dict[str, Any]) -> Row:
    for key in ("prompt", "completion"):
        if key not in found:
            raise _WrongLine(f'it has no {key!r}; write {{"prompt": …, "completion": …}} or {{"messages": […]}}')
        if not isinstance(found[key], str):
            raise _WrongLine(f"its {key!r} is not a text")
        if not found[key].strip():
            raise _WrongLine(f"its {key!r} is empty")
    return Row(completion=found["completion"], prompt=found["prompt"])


def _conversation(found: Any) -> Row:
    if not isinstance(found, list) or len(found) < 2:
        raise _WrongLine(
            "its 'messages' is not a list of two or more; write a user's message and the assistant's answer"
        )
    messages = tuple(_message(entry, place) for place, entry in enumerate(found, start=1))
    *before, last = messages
    if last.role != "assistant":
        raise _WrongLine(f"its last message is by {last.role!r}; the assistant's answer comes last")
    if not last.content.strip():
        raise _WrongLine("the assistant's answer is empty")
    return Row(completion=last.content, messages=tuple(before))


def _message(entry: Any, place: int) -> Message:
    if (
        not isinstance(entry, dict)
        or not isinstance(entry.get("role"), str)
        or not isinstance(entry.get("content"), str)
    ):
        raise _WrongLine(f'its message {place} is not {{"role": text, "content": text}}')
    if entry["role"] not in ROLES:
        raise _WrongLine(f"its message {place} has the role {entry['role'][:40]!r}; roles are {', '.join(ROLES)}")
    return Message(entry["role"], entry["content"])
