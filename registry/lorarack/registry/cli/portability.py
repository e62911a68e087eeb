"""``lorarack export`` and ``lorarack import``."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from lorarack.registry.cli.options import JsonOption, RegistryOption
from lorarack.registry.cli.output import emit, note
from lorarack.registry.portable import Imported
from lorarack.registry.registry import open_registry


def mount(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("export")(export)
    app.command("import")(import_)


def export(
    what: Annotated[
        str,
        typer.Argument(
            metavar="[NAME|REF]", help="An adapter, or one version, for example support@prod. Without it: everything."
        ),
    ],
    folder: Annotated[
        str | None, typer.Argument(metavar="FOLDER", help="A new or empty folder.", show_default=False)
    ] = None,
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Write versions to a folder: plain PEFT folders and one manifest with all that is known of them.

    Example: lorarack export support ./support-export
    """
    target = Path(folder if folder is not None else what)
    with open_registry(registry, create=False) as opened:
        done = opened.export_to(target, what if folder is not None else None)
    for reference in done.left_out:
        note(f"Left out: {reference}, which is quarantined or damaged.")
    count = len(done.versions)
    emit(done, json, lambda: f"Exported {count} version{'s' * (count != 1)} to {escape(str(target))}")


def import_(
    folder: Annotated[Path, typer.Argument(help="A folder that 'lorarack export' wrote.")],
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Add all versions of an export to this registry, or, if anything is wrong with it, none.

    A version keeps its number where that has never been used here, else it gets the next, and the answer says so.

    Example: lorarack import ./support-export
    """
    with open_registry(registry, create=False) as opened:
        done = opened.import_from(folder)
    for text in done.notes:
        note(text)
    emit(done, json, lambda: _sentence(done))


def _sentence(done: Imported) -> str:
    new = [version.version for version in done.versions if version.created]
    there = len(done.versions) - len(new)
    listed = ", ".join(new[:5]) + (f" and {len(new) - 5} more" if len(new) > 5 else "")
    imported = f"Imported [bold]{listed}[/bold]" if new else "Nothing new"
    return f"{imported}; {there} there already" if there else imported
