"""A file of scores made elsewhere: one JSON object a line, ``{"row": …, "group": …, "scores": {"a@1": 1, "a@2": 0}}``."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from lorarack.adapters.comparison.score_table import ScoreTable
from lorarack.adapters.data.records import WrongRecord, unique_keys
from lorarack.adapters.data.text_file import read_text_file
from lorarack.registry.errors import UsageError

_EXAMPLE = '{"row": 1, "scores": {"a@1": 1, "a@2": 0}}'
#: A loss larger than this is a mistake, and its square would not be a number.
_LARGEST_LOSS = 1e9
_LARGEST_FILE = 2**30


@dataclass(frozen=True, slots=True)
class ScoresFile:
    """What the file holds: the rows that all versions have a score on, their names, and what is to be said about the others."""

    table: ScoreTable
    rows: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Line:
    row: str
    group: object
    scores: dict[str, float | None]


def read_scores(path: Path, *, losses: bool = False, group_by: str = "group") -> ScoresFile:
    """Read the file, and keep the rows that every version has a score on.

    Args:
        path: of the file.
        losses: the scores are losses, less is better.
        group_by: the key that says which rows belong together; a row without it stands for itself.

    Raises:
        NotFound: no such file.
        UsageError: names the first line that is wrong, or says that there is nothing to compare.
    """
    _check_size(path)
    lines: list[_Line] = []
    places: dict[str, int] = {}
    for number, text in enumerate(read_text_file(path, "file of scores", "scores").split("\n"), start=1):
        if not text.strip():
            continue
        line = _read_line(f"{path.name}, line {number}", text, losses, group_by)
        if line.row in places:
            _refuse(f"{path.name}, line {number}", f"row {line.row} was already scored on line {places[line.row]}")
        places[line.row] = number
        lines.append(line)
    return _whole(path.name, lines, losses)


def _check_size(path: Path) -> None:
    """A file is read whole; one that memory does not hold must not end in a killed process."""
    try:
        size = path.stat().st_size
    except (OSError, ValueError):  # said by what reads it
        return
    if size > _LARGEST_FILE:
        raise UsageError(
            f"{path.name} has {size / 2**30:,.1f} GiB; {_LARGEST_FILE / 2**30:.0f} GiB of scores at most can be compared. Compare "
            "fewer rows, drawn at random.",
            code="bad_scores",
        )


def _whole(name: str, lines: list[_Line], losses: bool) -> ScoresFile:
    references = tuple(dict.fromkeys(reference for line in lines for reference in line.scores))
    if len(references) < 2:
        said = f"scores of {references[0]} only" if references else "no scores"
        raise UsageError(
            f"{name} has {said}; a comparison needs two versions or more on each line, like {_EXAMPLE}.",
            code="nothing_to_compare",
        )
    complete = [line for line in lines if all(line.scores.get(one) is not None for one in references)]
    if not complete:
        raise UsageError(
            f"{name} has no row with a score of all {len(references)} versions ({', '.join(references)}); "
            "only such rows can be compared.",
            code="bad_scores",
        )
    scores = np.array([[line.scores[one] for one in references] for line in complete], dtype=np.float64)
    grouped = any(line.group is not None for line in complete)
    groups = tuple(("row", line.row) if line.group is None else line.group for line in complete) if grouped else None
    table, names = ScoreTable(references, scores, groups, losses), tuple(line.row for line in complete)
    return ScoresFile(table, names, tuple(_left_out(references, lines, complete)))


def _left_out(references: tuple[str, ...], lines: list[_Line], complete: list[_Line]) -> Iterator[str]:
    if len(complete) == len(lines):
        return
    lacking = {one: sum(line.scores.get(one) is None for line in lines) for one in references}
    named = ", ".join(f"{count} of {one}" for one, count in lacking.items() if count)
    yield (
        f"{len(lines) - len(complete)} of {len(lines)} rows lack a score ({named}) and are left out; if answers are lacking "
        "because they failed, score them 0 instead."
    )


def _read_line(where: str, text: str, losses: bool, group_by: str) -> _Line:
    try:
        found = json.loads(text, object_pairs_hook=unique_keys)
    except WrongRecord as error:
        _refuse(where, str(error))
    except (ValueError, RecursionError):
        _refuse(where, f"this is no JSON object like {_EXAMPLE}")
    if not isinstance(found, dict) or not isinstance(found.get("scores"), dict):
        _refuse(where, f"it needs a row and its scores, like {_EXAMPLE}")
    row, group = found.get("row"), found.get(group_by)
    if isinstance(row, bool) or not isinstance(row, str | int):
        _refuse(where, "it needs a 'row', a text or a whole number that names it")
    if isinstance(group, list | dict):
        _refuse(where, f"its {group_by!r} must be a text or a number")
    scores = {reference: _score(where, reference, value, losses) for reference, value in found["scores"].items()}
    return _Line(str(row), group, scores)


def _score(where: str, reference: str, value: Any, losses: bool) -> float | None:
    if not reference.strip():
        _refuse(where, "a score needs the name of its version")
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if not isinstance(value, int | float):
        _refuse(
            where,
            f"the score of {reference} is {json.dumps(value)[:60]}, and must be a number, or null where there is none",
        )
    if losses and not 0 <= value <= _LARGEST_LOSS:
        _refuse(where, f"the loss of {reference} is {value:g}, and must be a number from 0 on")
    if not losses and not 0 <= value <= 1:
        _refuse(where, f"the score of {reference} is {value:g}, and must lie from 0 to 1; for losses give --loss")
    return float(value)


def _refuse(where: str, problem: str) -> NoReturn:
    raise UsageError(f"{where}: {problem}.", code="bad_scores")
