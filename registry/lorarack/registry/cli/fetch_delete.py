"""``lorarack fetch`` and ``lorarack delete``."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from lorarack.registry.cli.options import JsonOption, RegistryOption
from lorarack.registry.cli.output import emit
from lorarack.registry.registry import open_registry


def mount(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("fetch")(fetch)
    app.command("delete")(delete)


def fetch(
    reference: Annotated[str, typer.Argument(metavar="REF", help="For example support@prod.")],
    folder: Annotated[Path, typer.Argument(help="A new or empty folder.")],
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Write a version's files to a folder that PEFT can load.

    Example: lorarack fetch support@prod ./support
    """
    with open_registry(registry, create=False) as opened:
        version = opened.resolve(reference)
        opened.fetch(version, folder)
    record = {**version.brief(), "folder": str(folder)}
    emit(record, json, lambda: f"Fetched [bold]{version.reference}[/bold] to {escape(str(folder))}")


def delete(
    reference: Annotated[
        str, typer.Argument(metavar="NAME@VERSION", help="The version itself, for example support@3.")
    ],
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Forget a version. Refused while an alias, a server, a child or a rule holds it; its number is never used again.

    Example: lorarack delete support@3
    """
    with open_registry(registry, create=False) as opened:
        version = opened.delete(reference)
    emit(version.brief(), json, lambda: f"Deleted [bold]{version.reference}[/bold]")
