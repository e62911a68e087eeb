"""Free text from users, before it is stored."""

from collections.abc import Mapping

from lorarack.registry.errors import UsageError


def check_text(text: str | None, what: str) -> None:
    """Refuse what no database or JSON reader could give back: half of a surrogate pair, which is what a wrong encoding leaves.

    Raises:
        UsageError: such a text; ``what`` says which.
    """
    try:
        (text or "").encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"The {what} {text!a} is not valid UTF-8; write it anew.", code="bad_text") from error


def check_tags(tags: Mapping[str, str] | None) -> None:
    """Check the keys and values of ``tags``. Raises like ``check_text``."""
    for key, value in (tags or {}).items():
        check_text(key, "tag")
        check_text(value, "tag")
