"""The output of commands: data on stdout, notes and errors on stderr."""

import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console, RenderableType
from rich.markup import escape

from lorarack.registry.cli.terminal import TerminalConsole, visible_json
from lorarack.registry.errors import LorarackError
from lorarack.registry.value import Value

#: Not a terminal (a pipe, a log): wide enough for every table, so that no path is folded. None: as wide as the terminal is.
_WIDTH = None if sys.stdout.isatty() else 1000

#: Tables and answers; with ``--json`` exactly one object or array.
out = TerminalConsole(soft_wrap=True, highlight=False, emoji=False, width=_WIDTH)
#: Progress, notes and errors.
talk = TerminalConsole(stderr=True, soft_wrap=True, highlight=False, emoji=False)


def emit(
    value: Value | Sequence[Any] | dict[str, Any], as_json: bool, render: Callable[[], RenderableType | None]
) -> None:
    """Print ``value`` as JSON, or what ``render`` makes of it for people (nothing when it returns None)."""
    if as_json:
        _write_json(out, _plain(value))
        return
    rendered = render()
    if rendered is not None:
        out.print(rendered)


def note(text: str) -> None:
    """One informational line."""
    talk.print(f"[dim]{escape(text)}[/dim]")


def complain(error: LorarackError, as_json: bool) -> None:
    """Say what went wrong, as a sentence for people or an object for programs, on stderr."""
    if as_json:
        _write_json(talk, {"error": {"code": error.code, "message": error.message}})
    else:
        talk.print(f"[bold red]error:[/bold red] {escape(error.message)}")


def _write_json(to: Console, value: Any) -> None:
    """Past Rich, which is for people: it would replace what looks like an emoji's name, and drop control characters."""
    plain = getattr(to.file, "encoding", None) or "utf-8"  # elsewhere JSON's own escapes, which every encoding has
    to.file.write(visible_json(json.dumps(value, ensure_ascii=plain.lower() not in ("utf-8", "utf8"))) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, Value):
        return value.to_json()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
