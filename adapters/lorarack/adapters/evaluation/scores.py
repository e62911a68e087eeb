"""What an answer is worth: pure functions from an answer and what was expected to a number from 0 to 1."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from lorarack.registry.errors import UsageError


@dataclass(frozen=True, slots=True)
class Score:
    """A way to score an answer; more is better.

    Attributes:
        name: the metric's name in the registry.
        sentence: what a score of 1 means.
        binary: whether an answer is either right (1) or wrong (0), with nothing between.
        of: the score of an answer, given the expected text.
    """

    name: str
    sentence: str
    binary: bool
    of: Callable[[str, str], float]


def exact_match(answer: str, expected: str) -> float:
    """1 when the texts are equal, white space at both ends aside."""
    return float(answer.strip() == expected.strip())


def json_exact(answer: str, expected: str) -> float:
    """1 when both are JSON for the same value: the order of keys and white space do not matter, the order of lists does.

    Numbers are equal when they are numerically (``1`` and ``1.0``); ``true`` is not ``1``.
    """
    given, wanted = _leaves(answer), _leaves(expected)
    return float(given is not None and given == wanted)


def json_f1(answer: str, expected: str) -> float:
    """F1 of the leaves, each a path and its value: the harmonic mean of how many given are right and how many wanted are given.

    Positions in lists belong to the path. An answer that is no JSON scores 0.
    """
    given, wanted = _leaves(answer), _leaves(expected)
    if given is None or wanted is None:
        return 0.0
    return 2 * (given & wanted).total() / (given.total() + wanted.total())


SCORES = {
    score.name: score
    for score in (
        Score("exact_match", "the answer is the expected text", True, exact_match),
        Score("json_exact", "the answer is JSON for the expected value", True, json_exact),
        Score("json_f1", "every field of the JSON is there and right, and none too many", False, json_f1),
    )
}


def find_score(name: str) -> Score:
    """The score of that name.

    Raises:
        UsageError: there is none; the sentence lists them.
    """
    if name not in SCORES:
        near = get_close_matches(name, SCORES, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise UsageError(f"There is no score {name!r}; there are {', '.join(SCORES)}.{hint}", code="unknown_score")
    return SCORES[name]


def fitting_score(expected: Iterable[str]) -> Score:
    """``json_exact`` where every expected text is a JSON object or list, else ``exact_match``."""
    texts = list(expected)
    structured = bool(texts) and all(_is_structure(text) for text in texts)
    return SCORES["json_exact" if structured else "exact_match"]


_Path = tuple[str | int, ...]
_Leaf = tuple[_Path, str, Any]


def _is_structure(text: str) -> bool:
    return text.lstrip()[:1] in ("{", "[") and _leaves(text) is not None


def _leaves(text: str) -> Counter[_Leaf] | None:
    """Every leaf of the JSON in ``text`` with its path, or None when it is no JSON (or nested beyond all sense)."""
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
