"""Where rows come from: a file, a folder of files, or a data set on the Hub, which is asked only for a name of its form."""

import os
import re
from pathlib import Path

from lorarack.adapters.data.files import chained, file_records
from lorarack.adapters.data.folder import SUFFIXES, split_files
from lorarack.adapters.data.options import ReadOptions
from lorarack.adapters.data.records import Records
from lorarack.registry.errors import NotFound

_PART = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
_HUB_ID = re.compile(rf"(?:hf://datasets/)?({_PART}/{_PART})", re.ASCII)


def hub_id(source: str) -> str | None:
    """The data set on the Hub that a source names; None for what can only be a file."""
    found = _HUB_ID.fullmatch(source)
    return found[1] if found and not source.lower().endswith(SUFFIXES) else None


def source_name(source: str) -> str:
    """A source without its path: a file's or folder's name, or a data set's id."""
    repository = hub_id(source)
    return repository if repository and not _exists(Path(source)) else Path(source).name


def open_source(source: Path | str, options: ReadOptions) -> Records:
    """The records of a source. A file or folder that is there comes before the Hub.

    Raises:
        NotFound: nothing of this name, or no such split.
        UsageError: not a source of rows.
        Unavailable, NotAllowed: as the Hub answers.
    """
    path = Path(source)
    if _exists(path):
        return _folder(path, options) if os.path.isdir(path) else file_records(path, path.name)
    if isinstance(source, str) and (repository := hub_id(source)):
        from lorarack.adapters.data.hub_dataset import hub_records

        return hub_records(repository, options)
    raise NotFound(f"There is no data file {str(source)!r}.", code="no_data")


def has_split(source: str, options: ReadOptions) -> bool:
    """Whether a folder or a data set on the Hub has rows for the role of ``options``; a file has one split alone."""
    path = Path(source)
    if _exists(path):
        if not os.path.isdir(path):
            return False
        try:
            return bool(split_files(path, options.split, options.role))
        except NotFound:
            return False
    if repository := hub_id(source):
        from lorarack.adapters.data.hub_dataset import hub_has_split

        return hub_has_split(repository, options)
    return False


def _exists(path: Path) -> bool:
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError):  # a name too long, a NUL: told when it is opened
        return True
    return True


def _folder(folder: Path, options: ReadOptions) -> Records:
    name = folder.resolve().name
    parts = [file_records(path, path.name) for path in split_files(folder, options.split, options.role)]
    if len(parts) == 1:
        return Records(parts[0].name, parts[0].unit, parts[0].found, parts[0].note)
    return Records(f"{name} ({options.split or options.role})", "row", chained(parts))
