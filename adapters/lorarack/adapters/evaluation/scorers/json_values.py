"""Scores of JSON answers by their value: key order and white space never matter."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any


def json_exact(answer: str, expected: str) -> float:
    """1 when both are JSON for the same value: the order of keys and white space do not matter, the order of lists does.

    Numbers are equal when they are numerically (``1`` and ``1.0``); ``true`` is not ``1``.
    """
    given, wanted = _leaves(answer), _leaves(expected)
    return float(given is not None and given == wanted)


def json_f1(answer: str, expected: str) -> float:
    """F1 of the leaves, each a path and its value: the harmonic mean of precision and recall.

    Positions in lists belong to the path. An answer that is not JSON scores 0.
    """
    given, wanted = _leaves(answer), _leaves(expected)
    if given is None or wanted is None:
        return 0.0
    return 2 * (given & wanted).total() / (given.total() + wanted.total())


def is_structure(text: str) -> bool:
    """Whether ``text`` is a JSON object or list."""
    return text.lstrip()[:1] in ("{", "[") and _leaves(text) is not None


_Path = tuple[str | int, ...]
_Leaf = tuple[_Path, str, Any]


def _leaves(text: str) -> Counter[_Leaf] | None:
    """Every leaf of the JSON in ``text`` with its path, or None when it is not JSON or nested too deeply to parse."""
    try:
        return Counter(_walk(json.loads(text), ()))
    except (ValueError, RecursionError):
        return None


def _walk(value: Any, path: _Path) -> Iterator[_Leaf]:
    children: Iterable[tuple[str | int, Any]] = ()
    if isinstance(value, dict):
        children = value.items()
    elif isinstance(value, list):
        children = enumerate(value)
    else:
        yield path, _kind(value), value
        return
    if not value:
        yield path, type(value).__name__, None
    for key, child in children:
        yield from _walk(child, (*path, key))


def _kind(leaf: Any) -> str:
    """Keeps apart what JSON keeps apart and Python does not (``true`` and ``1``), and no more (``1`` and ``1.0``)."""
    if isinstance(leaf, bool) or leaf is None:
        return "constant"
    return "text" if isinstance(leaf, str) else "number"
