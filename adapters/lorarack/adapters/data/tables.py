"""Records of tables: CSV and Parquet. Nothing is guessed of a CSV's cells: ``007`` and ``NA`` are texts, as they stand."""

import csv
import datetime as dt
import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lorarack.adapters.data.records import Records, WrongRecord
from lorarack.registry.errors import UsageError

_BATCH = 1024
#: A cell may hold a whole conversation.
_CELL = 2**27
_MARKS = {",": None, "\t": "tabs", ";": "semicolons"}
#: Excel's first line, which names what parts the cells.
_SEP = re.compile(r'"?sep=([^"\r\n])"?(?:\r\n|\r|\n|$)', re.IGNORECASE)
_HEADER = re.compile(r'(?:"(?:[^"]|"")*"|[^"\r\n])*')
_QUOTED = re.compile(r'"(?:[^"]|"")*"')


def csv_records(name: str, text: str) -> Records:
    """The rows under a header; a column without a name is called by its place (``column 1``).

    Raises:
        UsageError: no header, or one with a column twice.
    """
    csv.field_size_limit(_CELL)
    said = _SEP.match(text)
    parts = said[1] if said else _parting(name, text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=parts, strict=True)
    try:
        if said:
            next(reader)
        header = next((cells for cells in reader if cells), [])
    except csv.Error as error:
        wrong = f"{name}: its header is not CSV ({error}); put a cell with quotes or line ends into quotes."
        raise UsageError(wrong, code="bad_data") from error
    columns = [column or f"column {place}" for place, column in enumerate(header, start=1)]
    _refuse_twice(name, columns)
    called = _MARKS.get(parts, repr(parts))
    note = f"{name}: {called} part its cells." if called else None
    return Records(name, "line", _cells(reader, columns), note)


def _parting(name: str, text: str) -> str:
    """What parts the cells: the mark that parts the first row as it parts the header, and of several the most frequent."""
    text = text.lstrip("\r\n")
    header = _HEADER.match(text)
    outside = _QUOTED.sub("", header[0] if header else "")
    marks = [mark for mark in _MARKS if mark in outside]
    if name.lower().endswith(".tsv") and "\t" in marks:
        return "\t"
    if len(marks) < 2:
        return marks[0] if marks else ","
    return max(marks, key=lambda mark: (_fits(text, mark), outside.count(mark)))


def _fits(text: str, mark: str) -> bool:
    """Whether the first row under the header has as many cells as the header."""
    try:
        filled = (cells for cells in csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True) if cells)
        header, row = next(filled, []), next(filled, [])
    except csv.Error:
        return False
    return len(header) == len(row)


def _refuse_twice(name: str, columns: Sequence[str]) -> None:
    twice = next((column for column, count in Counter(columns).items() if count > 1), None)
    if twice is not None:
        raise UsageError(f"{name} has two columns of one name, {twice[:40]!r}; name each once.", code="bad_data")


def _cells(reader: Any, columns: list[str]) -> Iterator[tuple[int, dict[str, str]]]:
    while True:
        start = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise WrongRecord(f"not CSV ({error}); put a cell with quotes or line ends into quotes", start) from error
        if cells is None:
            return
        if cells and len(cells) != len(columns):
            raise WrongRecord(
                f"it has {len(cells)} cells and the header {len(columns)}; put cells with commas into quotes", start
            )
        if cells:
            yield start, dict(zip(columns, cells, strict=True))


def parquet_records(name: str, path: Path) -> Records:
    """The rows of a Parquet file. Raises ``UsageError``."""
    need_datasets()
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    try:
        file = ParquetFile(path)
        names = class_names(file.schema_arrow)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise UsageError(f"{name} is not Parquet ({str(error).splitlines()[0][:100]}).", code="bad_data") from error
    _refuse_twice(name, file.schema_arrow.names)
    return Records(name, "row", _parquet_rows(file, names))


def _parquet_rows(file: Any, names: Mapping[str, list[str]]) -> Iterator[tuple[int, dict[str, Any]]]:
    import pyarrow as pa

    number = 0
    try:
        for batch in file.iter_batches(_BATCH):
            for found in batch.to_pylist():
                number += 1
                yield number, table_row(found, names)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise WrongRecord(f"the file is damaged ({str(error).splitlines()[0][:100]})", number + 1) from error
    finally:
        file.close()


def need_datasets() -> None:
    """Raises ``UsageError`` where ``datasets`` is not installed, with the way to it."""
    if find_spec("datasets") is None:
        raise UsageError(
            "Reading Parquet and the Hub's data sets needs the package 'datasets'; install it with: pip install 'lorarack[train]'.",
            code="not_installed",
        )


def class_names(schema: Any) -> dict[str, list[str]]:
    """The labels' names of columns that ``datasets`` wrote as numbers."""
    from datasets import ClassLabel, Features

    try:
        features = Features.from_arrow_schema(schema)
    except (ValueError, TypeError, KeyError, AttributeError):  # what another program wrote under the same key
        return {}
    return {name: list(feature.names) for name, feature in features.items() if isinstance(feature, ClassLabel)}


def table_row(found: Mapping[str, Any], names: Mapping[str, list[str]]) -> dict[str, Any]:
    """A table's row as a JSON object: labels by their names, days and times as ISO texts, and without what is null.

    A table has every key in every row, also inside messages: null stands where a row of JSON would not have it.
    """
    row = _as_json(found)
    for column, labels in names.items():
        if isinstance(row.get(column), int) and 0 <= row[column] < len(labels):
            row[column] = labels[row[column]]
    return row


def _as_json(value: Any) -> Any:
    """The value without keys that are null, and with days and times as texts."""
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, dict):
        return {key: _as_json(inner) for key, inner in value.items() if inner is not None}
    return [_as_json(inner) for inner in value] if isinstance(value, list) else value
