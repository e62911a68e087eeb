"""``lorarack alias set``, ``list`` and ``history``."""

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from lorarack.registry.cli.options import JsonOption, RegistryOption
from lorarack.registry.cli.output import emit, out
from lorarack.registry.cli.parsing import split_alias
from lorarack.registry.cli.render import table
from lorarack.registry.registry import open_registry
from lorarack.registry.values import Alias


def mount(app: typer.Typer) -> None:
    """Add the ``alias`` group."""
    group = typer.Typer(no_args_is_help=True, help="Movable names for versions; every move is recorded.")
    group.command("set")(set_)
    group.command("list")(list_)
    group.command("history")(history)
    app.add_typer(group, name="alias")


def set_(
    alias: Annotated[str, typer.Argument(metavar="NAME@ALIAS", help="For example support@prod.")],
    version: Annotated[int, typer.Argument(min=1, help="The version's number.")],
    expect: Annotated[int | None, typer.Option(min=1, help="Only if it names this version now.")] = None,
    reason: Annotated[str | None, typer.Option(help="Why; kept in the history.")] = None,
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Point an alias at a version.

    Example: lorarack alias set support@prod 3 --expect 2 --reason "lower loss"
    """
    adapter, name = split_alias(alias)
    with open_registry(registry, create=False) as opened:
        moved = opened.set_alias(adapter, name, version, expect=expect, reason=reason)
    before = f" (was {moved.previous})" if moved.previous else ""
    emit(moved, json, lambda: f"[bold]{adapter}@{name}[/bold] now names version {moved.version}{before}")


def list_(
    name: Annotated[str | None, typer.Argument(help="An adapter; without it, all.")] = None,
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """List where the aliases point.

    Example: lorarack alias list support
    """
    with open_registry(registry, create=False) as opened:
        aliases = opened.aliases(name)
    if not aliases and not json:
        out.print("No aliases yet; the first version that is published becomes 'default'.")
        return
    emit(aliases, json, lambda: _table(aliases))


def history(
    name: Annotated[str, typer.Argument(metavar="NAME[@ALIAS]", help="For example support or support@prod.")],
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """List every move of an adapter's aliases, oldest first.

    Example: lorarack alias history support@prod
    """
    adapter, alias = split_alias(name) if "@" in name else (name, None)
    with open_registry(registry, create=False) as opened:
        moves = opened.alias_history(adapter, alias)
    emit(moves, json, lambda: _table(moves))


def _table(aliases: tuple[Alias, ...]) -> Table:
    rows = table("alias", ">version", ">before", "moved (UTC)", "by", "reason")
    for move in aliases:
        rows.add_row(
            f"{move.adapter}@{move.name}",
            str(move.version),
            str(move.previous or "–"),
            f"{move.moved_at:%Y-%m-%d %H:%M:%S}",
            escape(move.actor),
            escape(move.reason or ""),
        )
    return rows
