"""Records: the JSON objects that a source holds, one for each row, before it is known what they mean."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn


class WrongRecord(Exception):
    """What is wrong with one record; ``read_rows`` adds where. ``number`` is its place where only the reader knows it."""

    def __init__(self, said: str, number: int | None = None) -> None:
        super().__init__(said)
        self.number = number


class NotJson(WrongRecord):
    """A text that should be JSON and is not."""


@dataclass(frozen=True, slots=True)
class Part:
    """One of several files that are numbered through: its own numbers begin after ``before``."""

    before: int
    name: str
    unit: str


@dataclass(frozen=True, slots=True)
class Records:
    """The records of one source in order, each with its number.

    Attributes:
        name: the source's name, never a path.
        unit: what the numbers count: ``line`` or ``row``.
        found: the records; reading them may raise ``WrongRecord``.
        note: what a user should know about how they were found.
        commit: which commit of a data set on the Hub they are from.
        parts: the files of a source of several, as far as they were read.
    """

    name: str
    unit: str
    found: Iterable[tuple[int, Any]]
    note: str | None = None
    commit: str | None = None
    parts: Sequence[Part] = ()

    def where(self, number: int) -> str:
        """``rows.jsonl, line 3``; of several files, the one that holds it."""
        part = part_of(self.parts, number) or Part(0, self.name, self.unit)
        return f"{part.name}, {part.unit} {number - part.before}" if number > part.before else part.name


def part_of(parts: Sequence[Part], number: int) -> Part | None:
    """The file that holds the record of a number; the last that was begun where none does yet."""
    return next((part for part in reversed(parts) if part.before < number), parts[0] if parts else None)


def json_records(name: str, text: str) -> Records:
    """The records of JSON Lines, or of one JSON array."""
    if text.lstrip().startswith("["):
        return Records(name, "row", _entries(text))
    return Records(name, "line", _lines(text))


def parse_json(text: str) -> Any:
    """A JSON value as all readers understand it.

    Raises:
        WrongRecord: not JSON, a key that stands twice, or half of a character.
    """
    found, end = _value(text, _skip(text, 0))
    if (rest := _skip(text, end)) < len(text):
        raise NotJson(f"not JSON (more text follows the value, at {_spot(text, rest)})")
    return found


def parse_inner(text: str, what: str) -> Any:
    """JSON that stands in a text of a record, which ``what`` names (``its 'tools'``). Raises ``WrongRecord``."""
    try:
        return parse_json(text)
    except NotJson as error:
        raise WrongRecord(f"{what} is {error}; write it as JSON") from error
    except WrongRecord as error:
        raise WrongRecord(f"{what} cannot be read: {error}") from error


def check_json(value: Any, what: str) -> None:
    """Refuse what JSON cannot hold: NaN, infinity, and a table's own kinds. Raises ``WrongRecord``."""

    def refuse(inner: Any) -> NoReturn:
        kind = type(inner).__name__
        raise WrongRecord(f"{what} holds a value of the kind {kind!r}, which JSON has not; store it as a text")

    try:
        json.dumps(value, allow_nan=False, default=refuse)
    except ValueError as error:
        raise WrongRecord(f"{what} holds NaN or an infinite number, which JSON has not; leave it out") from error


_BLANK = " \t\n\r"
_SPACE = re.compile(f"[{_BLANK}]*")


def _value(text: str, start: int) -> tuple[Any, int]:
    """The JSON value at ``start``, and where it ends."""
    try:
        found, end = _DECODER.raw_decode(text, start)
        json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise WrongRecord("it contains a lone surrogate, which no tokenizer accepts; replace or remove it") from error
    except json.JSONDecodeError as error:
        raise NotJson(f"not JSON ({_reason(error)} at {_spot(text, error.pos)})") from error
    except RecursionError as error:
        raise NotJson("not JSON that can be read (nested too deeply)") from error
    except ValueError as error:
        raise NotJson("not JSON that can be read (a number is too long)") from error
    return found, end


def _reason(error: json.JSONDecodeError) -> str:
    return error.msg[:1].lower() + error.msg[1:].removesuffix(" at")


def _spot(text: str, at: int) -> str:
    """``line 3, column 7``; the column alone of a text of one line."""
    line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
    return f"line {line}, column {column}" if "\n" in text.strip(_BLANK) else f"column {column}"


def _lines(text: str) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield number, parse_json(line)
            except NotJson as error:
                raise WrongRecord(f"{error}; write one JSON object a line", number) from error
            except WrongRecord as error:
                raise WrongRecord(str(error), number) from error


def _entries(text: str) -> Iterator[tuple[int, Any]]:
    """The values of a JSON array, one by one, so that a fault is one row's."""
    number, at = 0, _skip(text, text.index("[") + 1)
    while number or text[at : at + 1] != "]":
        number += 1
        try:
            found, end = _value(text, at)
        except WrongRecord as error:
            raise WrongRecord(str(error), number) from error
        yield number, found
        end = _skip(text, end)
        if text[end : end + 1] == "]":
            at = end
            break
        if text[end : end + 1] != ",":
            spot = _spot(text, end)
            raise WrongRecord(f"not JSON (the array needs a comma or its closing bracket after it, at {spot})", number)
        at = _skip(text, end + 1)
    if (rest := _skip(text, at + 1)) < len(text):
        raise WrongRecord(f"not JSON (more text follows the array, at {_spot(text, rest)})", number)


def _skip(text: str, at: int) -> int:
    blank = _SPACE.match(text, at)
    return blank.end() if blank else at


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose keys each stand once: readers do not agree on which of two counts.

    Raises:
        WrongRecord: a key stands twice.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise WrongRecord(f"it has {twice[:40]!a} twice in one object; keep one")
    return found


def _no_constant(text: str) -> NoReturn:
    raise WrongRecord(f"it holds {text}, which is not JSON; write null or leave it out")


_DECODER = json.JSONDecoder(parse_constant=_no_constant, object_pairs_hook=unique_keys)
