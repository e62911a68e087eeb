"""Free text from users and from elsewhere, before it is stored: SQLite checks neither lengths nor characters."""

import json
from collections.abc import Iterable, Mapping

from lorarack.registry.errors import UsageError
from lorarack.registry.values import Metric, Provenance

#: Characters of a description, a reason or a tag's value.
MAX_TEXT = 10_000
#: Characters of a tag's key, an actor and a holder of leases.
MAX_NAME = 255
#: Characters of a data set's digest.
_MAX_DIGEST = 71


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
        raise UsageError(f"The {what} {text!a} is not valid UTF-8; write it anew.", code="bad_text") from error


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
