"""The records of one file, whatever it is, and of several in a row."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from lorarack.adapters.data.records import Part, Records, WrongRecord, json_records
from lorarack.adapters.data.tables import csv_records, parquet_records
from lorarack.adapters.data.text_file import read_text_file
from lorarack.registry.errors import UsageError

#: Files that are no text, by their first bytes.
_MAGIC = {
    b"PK\x03\x04": "a ZIP archive or an Excel sheet; save its rows as CSV or JSON Lines",
    b"\x1f\x8b": "compressed; unpack it with gunzip",
    b"\x28\xb5\x2f\xfd": "compressed; unpack it with zstd -d",
    b"\x80\x04": "a pickle, which is never read; save its rows as JSON Lines",
    b"\x80\x05": "a pickle, which is never read; save its rows as JSON Lines",
    b"ARROW1": "an Arrow file; save its rows as Parquet or JSON Lines",
    b"\xff\xff\xff\xff": "an Arrow file; save its rows as Parquet or JSON Lines",
    b"SQLite format 3": "a database; save its rows as CSV or JSON Lines",
}


def chained(whole: Records, files: list[Records]) -> Records:
    """The records of several files as those of ``whole``: numbered through, and each is still found in its own file."""
    parts: list[Part] = []
    return replace(whole, found=_through(files, parts), parts=parts)


def _through(files: list[Records], parts: list[Part]) -> Iterator[tuple[int, Any]]:
    last = 0
    for file in files:
        before = last
        parts.append(Part(before, file.name, file.unit))
        try:
            for number, found in file.found:
                last = before + number
                yield last, found
        except WrongRecord as error:
            number = last + 1 if error.number is None else before + error.number
            raise WrongRecord(str(error), number) from error


def file_records(path: Path, name: str) -> Records:
    """The records of a file by its name's end; JSON where that is unknown.

    Raises:
        NotFound: no such file.
        UsageError: it holds no rows.
    """
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return parquet_records(name, path)
    _refuse_binary(path, name)
    text = read_text_file(path, "data file", "data")
    return csv_records(name, text) if suffix in (".csv", ".tsv") else json_records(name, text)


def _refuse_binary(path: Path, name: str) -> None:
    if not os.path.isfile(path):  # a pipe would lose what is read here
        return
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError:
        return  # told when it is read
    if found := next((said for magic, said in _MAGIC.items() if head.startswith(magic)), None):
        raise UsageError(f"{name} is {found}.", code="bad_data")
