"""Patterns of PEFT configurations: which modules they name. Matching has a time limit: some patterns never end."""

import time
from collections.abc import Mapping
from functools import lru_cache
from typing import TypeVar

import regex

from lorarack.registry.artifact.limits import MAX_PATTERN_CHARS, PATTERN_SECONDS, PATTERNS_SECONDS

T = TypeVar("T", int, float)


def matches(pattern: str, module: str) -> bool:
    """Whether PEFT's rule lets ``pattern`` name ``module``: as a regular expression, at a dot or the start, to the end.

    Raises:
        ValueError: not a regular expression, or one that takes too long.
    """
    return _search(rf"(.*\.)?({pattern})$", module, pattern)


def matches_whole(pattern: str, module: str) -> bool:
    """Whether ``pattern`` names ``module`` from its start to its end, as ``target_modules`` does.

    Raises:
        ValueError: not a regular expression, or one that takes too long.
    """
    return _search(f"(?:{pattern})$", module, pattern)


def layer_number(name: str | None, module: str) -> int | None:
    """The number of the layer that ``module`` is in.

    Args:
        name: a pattern for what the list of layers is called, as in ``layers_pattern``; without it the first number counts
            that stands between dots and has two names or more before it, as in PEFT.
        module: the module's name.

    Raises:
        ValueError: not a regular expression, or one that takes too long.
    """
    before = r".*?\.[^.]*" if name is None else rf"(?:^|.*?\.){name}"
    found = _match(rf"{before}\.(?P<layer>\d+)\.", module, name or "")
    return int(found["layer"]) if found else None


def first_match(patterns: Mapping[str, T], module: str, default: T, budget: "TimeBudget | None" = None) -> T:
    """The value of the first pattern that names ``module``, else ``default``; the order counts, as in PEFT and vLLM.

    Raises:
        ValueError: not a regular expression, or one that takes too long; or the time budget is used up.
    """
    budget = budget or TimeBudget()
    for pattern, value in patterns.items():
        budget.check()
        if matches(pattern, module):
            return value
    return default


class TimeBudget:
    """Processor time of this thread that matching may take."""

    def __init__(self, seconds: float = PATTERNS_SECONDS) -> None:
        self._end = time.thread_time() + seconds

    def used_up(self) -> bool:
        """Whether it has passed."""
        return time.thread_time() > self._end

    def check(self) -> None:
        """Raise ``ValueError`` when it has passed."""
        if self.used_up():
            raise ValueError("its patterns take too long to match; write fewer or simpler ones")


@lru_cache(maxsize=8192)  # an adapter may name each module in a pattern of its own; `regex` itself remembers 500
def _compiled(expression: str) -> "regex.Pattern[str]":
    return regex.compile(expression)


def _search(expression: str, module: str, shown: str) -> bool:
    return _match(expression, module, shown) is not None


def _match(expression: str, module: str, shown: str) -> "regex.Match[str] | None":
    if len(shown) > MAX_PATTERN_CHARS:
        raise ValueError(f"{shown[:80]!r}… is a pattern of {len(shown)} characters; {MAX_PATTERN_CHARS} are read")
    try:
        return _compiled(expression).match(module, timeout=PATTERN_SECONDS)
    except (regex.error, TimeoutError, RecursionError, MemoryError, OverflowError) as error:
        raise ValueError(f"{shown[:80]!r} is not a usable pattern") from error
