"""``lorarack events``."""

import time
from functools import partial
from typing import Annotated

import typer
from rich.markup import escape

from lorarack.registry.cli.options import JsonOption, RegistryOption
from lorarack.registry.cli.output import emit, note, out
from lorarack.registry.interface import Registry
from lorarack.registry.registry import open_registry
from lorarack.registry.values import Event

#: Seconds between two looks for new events.
_PAUSE = 0.5


def mount(app: typer.Typer) -> None:
    """Add the command."""
    app.command("events")(events)


def events(
    name: Annotated[str | None, typer.Argument(help="An adapter; without it, everything.")] = None,
    after: Annotated[int, typer.Option(min=0, metavar="CURSOR", help="Only events after this one.")] = 0,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Maximum results.")] = 1000,
    follow: Annotated[
        bool,
        typer.Option("--follow", "-f", help="Follow new events until Ctrl-C; with --json one object a line."),
    ] = False,
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Show what happened, oldest first: cursor, when (UTC), who, what.

    Example: lorarack events support --after 120
    """
    with open_registry(registry, create=False) as opened:
        found = opened.events(after, limit, name)
        if not follow:
            emit(found, json, lambda: "\n".join(map(_line, found)) or "Nothing happened.")
            if len(found) == limit and not json:
                note(f"There may be more: add --after {found[-1].cursor}")
            return
        try:
            _follow(opened, found, after, name, json)
        except KeyboardInterrupt:
            return


def _follow(opened: Registry, found: tuple[Event, ...], after: int, name: str | None, json: bool) -> None:
    while True:
        for event in found:
            emit(event, json, partial(_line, event))
            after = event.cursor
        out.file.flush()
        if not found:
            time.sleep(_PAUSE)
        found = opened.events(after, adapter=name)


def _line(event: Event) -> str:
    about = f"{event.adapter or ''}{f'@{event.version}' if event.version else ''}"
    detail = " ".join(
        f"{key}={_short(value)}" for key, value in event.detail.items() if value not in (None, False, [], {})
    )
    return escape(
        f"{event.cursor:>6}  {event.at:%Y-%m-%d %H:%M:%S}  {event.actor}  {event.kind}  {about}  {detail}".rstrip()
    )


def _short(value: object) -> str:
    text = str(value)
    return text[:19] if text.startswith("sha256:") else text
