"""What must not leave this machine with a card: its folders."""

import re

from pydantic import JsonValue

_ROOT = r"(?:file:/+|~[\w.-]*/|\.{1,2}/|/|[A-Za-z]:[\\/]|\\\\)"
_WHOLE = re.compile(rf"\s*{_ROOT}")
# Not within a word ("and/or", "acme/orders") nor within a URL.
_EMBEDDED = re.compile(rf"(?<![\w./~\\-])(?!(?<=:)//){_ROOT}[^\s\"'`,;|<>()\[\]{{}}]+")


def without_paths(text: str) -> str:
    """``text`` with every absolute path (and ``~/…``, ``./…``) cut down to its last part."""
    return _EMBEDDED.sub(lambda found: _last_part(found[0]), text)


def plain(value: JsonValue) -> JsonValue:
    """A value of a recipe: a text that is a path becomes its last part; lists and objects are gone through."""
    match value:
        case str():
            return _last_part(value) if _WHOLE.match(value) else without_paths(value)
        case list():
            return [plain(item) for item in value]
        case dict():
            return {without_paths(key): plain(item) for key, item in value.items()}
        case _:
            return value


def _last_part(path: str) -> str:
    return re.split(r"[\\/]", path.strip().rstrip("\\/"))[-1]
