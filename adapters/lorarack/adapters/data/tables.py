"""Records of tables: CSV and Parquet. Nothing is guessed of a CSV's cells: ``007`` and ``NA`` are texts, as they stand."""

import csv
import io
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lorarack.adapters.data.records import Records, WrongRecord
from lorarack.registry.errors import UsageError

_BATCH = 1024
#: A cell may hold a whole conversation.
_CELL = 2**27


def csv_records(name: str, text: str) -> Records:
    """The rows under a header; where the header has no comma, semicolons or tabs part the cells.

    Raises:
        UsageError: no header, or one with a column twice.
    """
    header = text.lstrip("\n\r").split("\n", 1)[0]
    parts = next((mark for mark in (",", "\t", ";") if mark in header), ",")
    csv.field_size_limit(_CELL)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=parts, strict=True)
    try:
        columns = next((cells for cells in reader if cells), [])
    except csv.Error as error:
        raise UsageError(f"{name}, line 1: not CSV ({error}).", code="bad_data") from error
    if len(set(columns)) < len(columns) or not all(columns):
        raise UsageError(f"{name} has a column without a name, or two of one name; name each once.", code="bad_data")
    called = {"\t": "tabs", ";": "semicolons"}.get(parts)
    note = f"{name}: {called} part its cells." if called else None
    return Records(name, "line", _cells(reader, columns), note)


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
    """A table's row as a JSON object: labels by their names, and without what is null.

    A table has every key in every row, also inside messages: null stands where a row of JSON would not have it.
    """
    row = without_nulls(found)
    for column, labels in names.items():
        if isinstance(row.get(column), int) and 0 <= row[column] < len(labels):
            row[column] = labels[row[column]]
    return row


def without_nulls(value: Any) -> Any:
    """The value without keys that are null."""
    if isinstance(value, dict):
        return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [without_nulls(inner) for inner in value] if isinstance(value, list) else value
