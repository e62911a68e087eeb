"""Untrusted text on a terminal: characters that would control it, or reorder text, are shown as escapes.

Descriptions, tags, cards, names of files and answers of models come from others. A terminal obeys control characters in them
(https://en.wikipedia.org/wiki/ANSI_escape_code), and bidirectional overrides make text read as what it is not (CVE-2021-42574).
"""

import re
from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

#: C0 but for tab and line feed, DEL, C1; soft hyphen, Arabic letter mark, Mongolian vowel separator, zero-width space, marks,
#: line and paragraph separators, bidirectional embeddings, overrides and isolates, invisible operators, byte order mark,
#: interlinear annotation, halves of surrogate pairs, and tags. Joiners stay: scripts and emoji need them.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
_UNSAFE_IN_JSON = re.compile(_UNSAFE.pattern.replace("\x00-\x08\x0b-\x1f", ""))


def visible(text: str) -> str:
    r"""``text`` with each character that would act on a terminal as its escape (``\x1b``, ``\u202e``)."""
    return _UNSAFE.sub(lambda found: ascii(found[0])[1:-1], text)


def visible_json(text: str) -> str:
    """The same for a JSON text, in JSON's own escapes: it stays the same JSON. Control characters are escaped there already."""
    return _UNSAFE_IN_JSON.sub(_json_escape, text)


def _json_escape(found: "re.Match[str]") -> str:
    units = found[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


class TerminalConsole(Console):
    """A console of Rich whose text is made visible, wherever in a table, a panel or a progress bar it stands."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As Rich does, with text made visible before lines are measured."""
        for segment in super().render(renderable, options):
            if segment.control or not _UNSAFE.search(segment.text):
                yield segment
            else:
                yield Segment(visible(segment.text), segment.style)
