"""Columns under the names that rows have: ``columns: {prompt: question, completion: answer}``."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from lorarack.adapters.data.records import WrongRecord


def renamed(found: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    """The record with the named columns and no others; an answer that is a number or a yes becomes a text.

    Raises:
        WrongRecord: it lacks one of them.
    """
    taken = {}
    for name, column in columns.items():
        if column not in found:
            near = get_close_matches(column, [str(key) for key in found], n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"its columns are {', '.join(repr(key) for key in found)}"
            raise WrongRecord(f"it has no column {column!r}, which is to be its {name!r}; {hint}".removesuffix("."))
        value = found[column]
        taken[name] = str(value).lower() if isinstance(value, bool) else str(value) if isinstance(value, int) else value
    return taken


def passed_over(found: Mapping[str, Any], columns: Mapping[str, str]) -> set[str]:
    """The columns of a record that are not read."""
    return {str(key) for key in found if key not in columns.values()}
