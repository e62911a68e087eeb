"""Records: the JSON objects that a source holds, one for each row, before it is known what they mean."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn


class WrongRecord(Exception):
    """What is wrong with one record; ``read_rows`` adds where. ``number`` is its place where only the reader knows it."""

    def __init__(self, said: str, number: int | None = None) -> None:
        super().__init__(said)
        self.number = number


@dataclass(frozen=True, slots=True)
class Records:
    """The records of one source in order, each with its number.

    Attributes:
        name: the source's name, never a path.
        unit: what the numbers count: ``line`` or ``row``.
        found: the records; reading them may raise ``WrongRecord``.
        note: what a user should know about how they were found.
        commit: which commit of a data set on the Hub they are from.
    """

    name: str
    unit: str
    found: Iterable[tuple[int, Any]]
    note: str | None = None
    commit: str | None = None


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
    try:
        found = json.loads(text, parse_constant=_no_constant, object_pairs_hook=unique_keys)
        json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise WrongRecord("it contains a lone surrogate, which no tokenizer accepts; replace or remove it") from error
    except (ValueError, RecursionError) as error:
        raise WrongRecord("not JSON; write one JSON object a line") from error
    return found


def _lines(text: str) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield number, parse_json(line)
            except WrongRecord as error:
                raise WrongRecord(str(error), number) from error


def _entries(text: str) -> Iterator[tuple[int, Any]]:
    found = parse_json(text)
    yield from enumerate(found if isinstance(found, list) else [found], start=1)


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
    raise ValueError(f"{text} is not JSON")
