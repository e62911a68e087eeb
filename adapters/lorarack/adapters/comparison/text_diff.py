"""How one text differs from another, word by word."""

import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from html import escape

#: Longer texts are cut: the page is for people, and a diff of long texts takes its time.
LONGEST = 4_000
_WORDS = re.compile(r"\s+|\w+|[^\w\s]")


def diff_html(before: str, after: str) -> str:
    """``after`` as HTML, with what is not in ``before`` marked as inserted and what is lacking as deleted; all escaped."""
    return "".join(_marked(_WORDS.findall(cut(before)), _WORDS.findall(cut(after))))


def cut(text: str) -> str:
    """``text``, or its beginning where it is long."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text) - LONGEST} more characters)"


def _marked(old: list[str], new: list[str]) -> Iterator[str]:
    for kind, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        gone, come = escape("".join(old[a:b])), escape("".join(new[c:d]))
        if kind == "equal":
            yield come
            continue
        if gone:
            yield f"<del>{gone}</del>"
        if come:
            yield f"<ins>{come}</ins>"
