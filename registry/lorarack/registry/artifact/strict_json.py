"""JSON from untrusted sources: strict (RFC 8259), and bounded in memory before it is parsed.

The standard library's parser takes more than the format allows (NaN, numbers that become infinite, halves of surrogate
pairs), and a byte of JSON can take thirty bytes of memory. A reader in another language refuses the first; counting
brackets and separators before parsing bounds the second.
"""

import json
import math
from collections import Counter
from collections.abc import Callable
from typing import Any

Pairs = list[tuple[str, Any]]

#: A tokenizer of 260,000 tokens and 580,000 merges has a third of these.
MAX_CONTAINERS = 2_000_000
MAX_ENTRIES = 6_000_000
#: Containers in containers; what Rust's readers allow.
_MAX_DEPTH = 127


def check_size(raw: bytes, *, containers: int = MAX_CONTAINERS, entries: int = MAX_ENTRIES) -> None:
    """Raise ``ValueError`` where JSON has more than is parsed; brackets and separators in texts are counted as well."""
    if raw.count(b"{") + raw.count(b"[") > containers or raw.count(b",") + raw.count(b":") > entries:
        raise ValueError(f"it has more than {containers} objects and arrays, or more than {entries} entries")


def parse_json(
    raw: bytes,
    *,
    containers: int = MAX_CONTAINERS,
    entries: int = MAX_ENTRIES,
    on_pairs: Callable[[Pairs], Any] | None = None,
) -> Any:
    """The value in ``raw``, which must be UTF-8 without a byte order mark.

    Args:
        raw: One JSON text.
        containers: Most objects and arrays.
        entries: Most members and elements.
        on_pairs: Makes an object from its pairs, in order; ``dict`` where nothing is given.

    Raises:
        ValueError: not strict JSON, or more of it than is read; the text says what.
    """
    check_size(raw, containers=containers, entries=entries)
    try:
        value = json.loads(
            raw.decode(),  # bytes would be taken for UTF-16 and UTF-32 as well
            parse_constant=_no_constant,
            parse_float=_finite,
            parse_int=_integer,
            object_pairs_hook=on_pairs or dict,
        )
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except UnicodeDecodeError as error:
        raise ValueError("it is not UTF-8") from error
    _check(value)
    return value


def refuse_repeated(pairs: Pairs, *names: str) -> None:
    """Raise ``ValueError`` where one of ``names`` is there more than once."""
    counted = Counter(name for name, _ in pairs)
    twice = [name for name in names if counted[name] > 1]
    if twice:
        raise ValueError(f"{twice[0]!r} is there more than once")


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:20]} is too large")
    return number


def _integer(text: str) -> int | float:
    # Minus zero is no integer to readers that tell it from zero.
    return -0.0 if text == "-0" else int(text)


def _check(value: Any) -> None:
    """Refuse what is nested too deeply and texts that are no Unicode, level by level: no recursion."""
    level = [value]
    for _ in range(_MAX_DEPTH + 1):
        inner: list[Any] = []
        for item in level:
            if isinstance(item, str):
                _check_text(item)
            elif isinstance(item, dict):
                for key in item:
                    _check_text(key)
                inner.extend(item.values())
            elif isinstance(item, list):
                inner.extend(item)
        if not inner:
            return
        level = inner
    raise ValueError("it is nested too deeply")


def _check_text(text: str) -> None:
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("a text holds half of a surrogate pair")
