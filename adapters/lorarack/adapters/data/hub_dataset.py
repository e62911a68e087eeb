"""A data set on the Hub at one commit, read by ``datasets`` into the user's cache. No code of the repository is run."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from lorarack.adapters.data.files import chained, file_records
from lorarack.adapters.data.folder import SUFFIXES, pick_split
from lorarack.adapters.data.options import ReadOptions
from lorarack.adapters.data.records import Records
from lorarack.adapters.data.tables import class_names, need_datasets, table_row
from lorarack.registry.errors import LorarackError, NotFound, Unavailable, UsageError
from lorarack.registry.hub.client import hub_api, hub_errors

#: The readers of ``datasets`` that read rows of values and run nothing.
_READERS = frozenset({"json", "csv", "parquet", "arrow"})


def hub_records(repository: str, options: ReadOptions) -> Records:
    """The rows of one split, and a note of the commit that they are from.

    Raises:
        NotFound: no such data set, revision, subset or split.
        UsageError: it is not made of rows.
        Unavailable: the Hub is not reached.
        NotAllowed: the Hub refuses the token.
    """
    commit, builder = _builder(repository, options.revision, options.subset)
    splits = _splits(builder)
    split = pick_split(splits, options.split, options.role)
    if split is None:
        raise NotFound(
            f"The data set {repository!r} has no {options.split or options.role} split; it has {', '.join(splits)}, and "
            f"'splits: {{{options.role}: …}}' under data names one.",
            code="no_split",
        )
    pinned = "" if options.revision == commit else f"; 'revision: {commit}' under data pins it"
    note = f"{repository}: {split} rows of commit {commit[:12]}{pinned}."
    name = f"{repository} ({split})"
    with _faults(repository):
        files = _own_files(builder, repository, commit, split)
        if not files:
            builder.download_and_prepare()
            return Records(name, "row", _rows(builder.as_dataset(split=split)), note, commit)
        parts = [file_records(Path(path), f"{repository}/{file}") for file, path in files]
    return chained(Records(name, "row", (), note, commit), parts)


def _own_files(builder: Any, repository: str, commit: str, split: str) -> list[tuple[str, str]]:
    """The files of a split, fetched into the Hub's cache, where our own readers know all of them: these guess nothing.

    ``datasets`` takes NA in a CSV for nothing, and gives every row of JSON the keys of all.
    """
    start = f"hf://datasets/{repository}@{commit}/"
    files = [str(file) for file in builder.config.data_files[split]]
    if not all(file.startswith(start) and file.lower().endswith(SUFFIXES) for file in files):
        return []
    api = hub_api()
    names = [file.removeprefix(start) for file in files]
    fetched = [api.hf_hub_download(repository, name, repo_type="dataset", revision=commit) for name in names]
    return list(zip(names, fetched, strict=True))


def hub_has_split(repository: str, options: ReadOptions) -> bool:
    """Whether the data set has a split for the role of ``options``.

    Raises:
        NotFound: no such data set, revision or subset.
        UsageError: it is not made of rows.
        Unavailable: the Hub is not reached.
        NotAllowed: the Hub refuses the token.
    """
    _, builder = _builder(repository, options.revision, options.subset)
    return pick_split(_splits(builder), options.split, options.role) is not None


def _rows(found: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    names = class_names(found.features.arrow_schema)
    table = found.with_format("arrow")
    number = 0
    for batch in table.iter(1024):
        for row in batch.to_pylist():
            number += 1
            yield number, table_row(row, names)


def _splits(builder: Any) -> list[str]:
    return [str(split) for split in builder.config.data_files or {}]


@lru_cache(maxsize=8)
def _builder(repository: str, revision: str | None, subset: str | None) -> tuple[str, Any]:
    """The commit that is meant, and the reader of its files."""
    need_datasets()
    with hub_errors(repository):
        commit = hub_api().dataset_info(repository, revision=revision).sha
    if not commit:
        raise Unavailable(f"The Hub does not say which commit of {repository!r} it has; try again later.")
    import datasets

    datasets.disable_progress_bars()
    with _faults(repository):
        builder = datasets.load_dataset_builder(repository, subset, revision=commit)
        reader = type(builder).__module__.split(".")[-2]
    if reader not in _READERS:
        raise UsageError(f"The data set {repository!r} holds no rows of text ({reader}).", code="bad_data")
    return commit, builder


@contextmanager
def _faults(repository: str) -> Iterator[None]:
    """What ``datasets`` raises, as ours."""
    import httpx2
    from huggingface_hub import errors

    with hub_errors(repository):
        try:
            yield
        except (errors.HfHubHTTPError, errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError, httpx2.HTTPError):
            raise
        except (LorarackError, ConnectionError, TimeoutError):
            raise
        except Exception as error:  # datasets, pyarrow and pandas raise every kind over files of others
            said = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise UsageError(
                f"The data set {repository!r} cannot be read: {said.rstrip('.')[:300]}.", code="bad_data"
            ) from error
