"""Columns under the names that rows have: ``columns: {prompt: question, completion: answer}``."""

from collections.abc import Mapping
from decimal import Decimal
from difflib import get_close_matches
from math import isfinite
from typing import Any

from lorarack.adapters.data.records import WrongRecord


def renamed(found: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    """The record with the named columns and no others.

    Raises:
        WrongRecord: it lacks one of them.
    """
    taken = {}
    for name, column in columns.items():
        if column not in found:
            near = get_close_matches(column, [str(key) for key in found], n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"its columns are {', '.join(repr(key) for key in found)}"
            raise WrongRecord(f"it has no column {column!r}, which is to be its {name!r}; {hint}".removesuffix("."))
        taken[name] = found[column]
    return taken


def text_of(value: Any, key: str) -> str:
    """A value that should be a text; a number, a true or a false becomes one, as it stands in JSON.

    Raises:
        WrongRecord: it is no text; the reason holds the way out.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float | Decimal) and isfinite(value):
        return str(value)
    kind = {type(None): "null", list: "a list", dict: "an object"}.get(type(value), "of another kind")
    raise WrongRecord(f"its {key!r} is not a text but {kind}; write a text, or leave the row out")


def passed_over(found: Mapping[str, Any], columns: Mapping[str, str]) -> set[str]:
    """The columns of a record that are not read."""
    return {str(key) for key in found if key not in columns.values()}
