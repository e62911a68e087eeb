"""Where rows come from: a file, a folder of files, or a data set on the Hub, which is asked only for a name of its form."""

import os
import re
from pathlib import Path

from lorarack.adapters.data.files import chained, file_records
from lorarack.adapters.data.folder import SUFFIXES, names_split, split_files
from lorarack.adapters.data.options import ReadOptions
from lorarack.adapters.data.records import Records
from lorarack.registry.errors import NotAllowed, NotFound, Unavailable

_PART = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
_PREFIX = "hf://datasets/"
_HUB_ID = re.compile(rf"(?:{_PREFIX})?({_PART}/{_PART})", re.ASCII)
#: Ends of files that hold no rows as we read them, but that nobody gives a data set on the Hub.
_FILES = (
    *(".txt", ".text", ".md", ".log", ".xml", ".yaml", ".yml", ".xlsx", ".xls", ".arrow", ".feather", ".pkl", ".db"),
    *(".sqlite", ".gz", ".bz2", ".xz", ".zst", ".zip", ".tar"),
)


def hub_id(source: str) -> str | None:
    """The data set on the Hub that a source names; None for what can only be a file."""
    found = _HUB_ID.fullmatch(source)
    return found[1] if found and not source.lower().endswith((*SUFFIXES, *_FILES)) else None


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
        return _on_the_hub(source, repository, options)
    raise NotFound(f"There is no data file {str(source)!r}.", code="no_data")


def has_split(source: str, options: ReadOptions) -> bool:
    """Whether a folder or a data set on the Hub has rows for the role of ``options``; a file has one split alone."""
    path = Path(source)
    if _exists(path):
        if not os.path.isdir(path):
            return False
        try:
            return names_split(path, options.split, options.role)
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


def _on_the_hub(source: str, repository: str, options: ReadOptions) -> Records:
    """The rows of a data set; a name that could as well be a mistyped path is told so."""
    from lorarack.adapters.data.hub_dataset import hub_records

    if source.startswith(_PREFIX):
        return hub_records(repository, options)
    folder = source.partition("/")[0]
    if os.path.isdir(folder):
        raise NotFound(
            f"The folder {folder!r} holds no file or folder {repository.partition('/')[2]!r}; a data set on the Hub is named "
            f"{_PREFIX}{repository}.",
            code="no_data",
        )
    try:
        return hub_records(repository, options)
    except (NotFound, NotAllowed, Unavailable) as error:
        if error.code == "no_split":
            raise
        raise type(error)(
            f"There is no file or folder {source!r}, and on the Hub: {error.message}", code=error.code
        ) from error


def _folder(folder: Path, options: ReadOptions) -> Records:
    paths = split_files(folder, options.split, options.role)
    if len(paths) == 1:
        return file_records(paths[0], paths[0].name)
    files = [file_records(path, path.relative_to(folder).as_posix()) for path in paths]
    return chained(Records(f"{folder.resolve().name} ({options.split or options.role})", "row", ()), files)
