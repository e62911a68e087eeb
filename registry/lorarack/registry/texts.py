"""Names and texts from users and from elsewhere: what of them can be kept, JSON that is strict and bounded, and lists in sentences.

SQLite checks neither lengths nor characters. The standard library's JSON parser takes more than the format (RFC 8259) allows:
NaN, numbers that become infinite, halves of surrogate pairs; and a byte of JSON can take thirty bytes of memory. A reader in
another language refuses the first; counting brackets and separators before parsing bounds the second.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from lorarack.registry.errors import UsageError
from lorarack.registry.values import Metric, Provenance

#: Characters of a description, a reason or a tag's value.
MAX_TEXT = 10_000
#: Characters of a tag's key, an actor and a holder of leases.
MAX_NAME = 255
#: Characters of a data set's digest.
_MAX_DIGEST = 71


_PART = r"[a-z0-9][a-z0-9._-]{0,62}"
NAME = re.compile(rf"{_PART}(/{_PART})?", re.ASCII)
_ALIAS = re.compile(_PART, re.ASCII)
_RESERVED_ALIASES = frozenset({"latest", "sha256"})
_RANK_LIKE = re.compile(r"r[0-9]+", re.ASCII)

NAME_RULE = (
    "a name is 1 to 63 of a-z, 0-9, '.', '_' and '-', starting with a letter or digit, "
    "with at most one '/' between two such parts"
)

#: Names in a list, and problems of one kind, that are shown; the others are counted.
SHOWN = 3

Pairs = list[tuple[str, Any]]

#: A tokenizer of 260,000 tokens and 580,000 merges has a third of these.
MAX_CONTAINERS = 2_000_000
MAX_ENTRIES = 6_000_000
#: Containers in containers; what Rust's readers allow.
_MAX_DEPTH = 127


def check_adapter_name(name: str) -> str:
    """Return ``name`` when it may name an adapter or a base model.

    Raises:
        UsageError: it may not.
    """
    if not NAME.fullmatch(name):
        raise UsageError(f"{name!r} cannot be a name: {NAME_RULE}.", code="bad_name")
    return name


def check_alias_name(alias: str) -> str:
    """Return ``alias`` when it may name an alias.

    Raises:
        UsageError: it may not.
    """
    if not is_alias_name(alias):
        raise UsageError(
            f"{alias!r} cannot be an alias: use 1 to 63 of a-z, 0-9, '.', '_' and '-', "
            "not a number, not 'rN', not 'latest' or 'sha256'.",
            code="bad_alias",
        )
    return alias


def is_alias_name(text: str) -> bool:
    """Whether ``text`` may name an alias: a plain name that no other selector claims."""
    return (
        bool(_ALIAS.fullmatch(text))
        and text not in _RESERVED_ALIASES
        and not text.isdigit()
        and not _RANK_LIKE.fullmatch(text)
    )


def check_text(text: str | None, what: str, limit: int = MAX_TEXT) -> None:
    """Refuse what not every database or JSON reader can give back, and what is too long to be meant.

    Raises:
        UsageError: no text, half of a surrogate pair (which is what a wrong encoding leaves), NUL, or more than ``limit``
            characters; ``what`` says which text it is.
    """
    check_unicode(text, what)
    if text and "\0" in text:
        raise UsageError(f"The {what} {text[:80]!a} has a NUL character in it; leave that out.", code="bad_text")
    if text and len(text) > limit:
        raise UsageError(
            f"The {what} {text[:40]!a}… has {len(text):,} characters; {limit:,} at most can be kept.", code="bad_text"
        )


def check_unicode(text: str | None, what: str) -> None:
    """Refuse half of a surrogate pair, and what is no text.

    Raises:
        UsageError: such a text; ``what`` says which.
    """
    if text is not None and not isinstance(text, str):
        raise UsageError(f"The {what} {str(text)[:80]!a} is not a text; give a string.", code="bad_text")
    try:
        (text or "").encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"The {what} {text!a} is not valid UTF-8; enter it again.", code="bad_text") from error


def check_tags(tags: Mapping[str, str] | None) -> None:
    """Check the keys and values of ``tags``.

    Raises:
        UsageError: a key that a search by KEY=VALUE cannot name, or a text as for ``check_text``.
    """
    for key, value in (tags or {}).items():
        check_text(key, "tag", MAX_NAME)
        if not key.strip() or key != key.strip() or "=" in key:
            raise UsageError(
                f"The tag {key[:80]!r} cannot be kept; a key is not empty, has no '=', and no blank at either end.",
                code="bad_tag",
            )
        check_text(value, f"value of the tag {key[:80]!r}")


def keepable_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Those of untrusted ``tags`` that ``check_tags`` accepts."""
    kept = {}
    for key, value in tags.items():
        try:
            check_tags({key: value})
        except UsageError:
            continue
        kept[key] = value
    return kept


def check_metrics(metrics: Iterable[Metric]) -> None:
    """Check what is free text about ``metrics``. Raises ``UsageError`` as ``check_text``."""
    for metric in metrics:
        check_text(metric.dataset, f"data set of {metric.label}", _MAX_DIGEST)


def check_provenance(provenance: Provenance | None) -> None:
    """Refuse a provenance that is no JSON.

    Raises:
        UsageError: a number that is not finite, or half of a surrogate pair.
    """
    if provenance is None:
        return
    try:
        json.dumps(provenance.to_json(), ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"The provenance cannot be kept as JSON: {str(error)[:200]}.", code="bad_provenance"
        ) from error


def listed(names: Sequence[str]) -> str:
    """The first few ``names``, quoted and escaped, and how many more there are."""
    shown = ", ".join(repr(name[:100]) for name in names[:SHOWN])
    return f"{shown} (and {len(names) - SHOWN} more)" if len(names) > SHOWN else shown


def shortened(problems: list[str]) -> list[str]:
    """The first few of problems of one kind, and how many more there are."""
    if len(problems) <= SHOWN:
        return problems
    return [*problems[:SHOWN], f"and the same for {len(problems) - SHOWN} more modules"]


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
    _check_json(value)
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


def _check_json(value: Any) -> None:
    """Refuse what is nested too deeply and texts that are no Unicode, level by level: no recursion."""
    level = [value]
    for _ in range(_MAX_DEPTH + 1):
        inner: list[Any] = []
        for item in level:
            if isinstance(item, str):
                _check_surrogates(item)
            elif isinstance(item, dict):
                for key in item:
                    _check_surrogates(key)
                inner.extend(item.values())
            elif isinstance(item, list):
                inner.extend(item)
        if not inner:
            return
        level = inner
    raise ValueError("it is nested too deeply")


def _check_surrogates(text: str) -> None:
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("a text contains a lone surrogate")
