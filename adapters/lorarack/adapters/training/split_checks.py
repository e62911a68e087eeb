"""Splits that do not go together, and keys of ``data`` that would have no effect: refused before anything is trained."""

import os
from typing import Literal

from lorarack.adapters.data import Rows, check_leaks
from lorarack.adapters.recipe import DataPlan
from lorarack.registry.errors import UsageError

_KINDS = {"chat": "conversations", "plain": "prompts with answers", "text": "plain texts"}


def check_keys(data: DataPlan) -> None:
    """Refuse keys that say which part of a data set to read where none of the sources has parts.

    Raises:
        UsageError: names the key and what it is for.
    """
    sources = [source for source in (data.train, data.validation, data.test) if source is not None]
    if all(os.path.exists(source) for source in sources):
        for key in ("revision", "subset"):
            if getattr(data, key) is not None:
                raise UsageError(
                    f"{key!r} under data is for data sets on the Hub, and {_named(data.train)!r} is on this machine; leave it out.",
                    code="no_effect",
                )
    for role in data.splits:
        source = _source(data, role)
        if os.path.isfile(source):
            raise UsageError(
                f"'splits' under data is for data sets on the Hub and for folders, and {_named(source)!r} is a file, which has "
                f"one split alone; leave {role!r} out of it.",
                code="no_effect",
            )


def check_splits(train: Rows, validation: Rows, test: Rows | None) -> None:
    """Refuse splits of different kinds, and splits that share questions.

    Raises:
        UsageError: says which splits, and what to do.
    """
    others = [("validation", validation), *([("test", test)] if test is not None else [])]
    for split, rows in others:
        _check_alike(train, split, rows)
    check_leaks(train, others)
    if test is not None:
        check_leaks(validation, [("test", test)])


def _check_alike(train: Rows, split: str, rows: Rows) -> None:
    """Rows of two kinds are asked of a model in two ways, and a question that is in both would not be found."""
    first, second = train.rows[0].kind, rows.rows[0].kind
    if first != second:
        raise UsageError(
            f"The train rows in {train.name} are {_KINDS[first]} and the {split} rows in {rows.name} are {_KINDS[second]}; "
            "write both alike.",
            code="kinds_differ",
        )


def _source(data: DataPlan, role: Literal["train", "validation", "test"]) -> str:
    found: str | None = getattr(data, role)
    return data.train if found is None else found


def _named(source: str) -> str:
    return os.path.basename(os.path.normpath(source))
