"""``lorarack export`` and ``lorarack import``."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from lorarack.registry.cli.options import JsonOption, RegistryOption
from lorarack.registry.cli.output import emit, note
from lorarack.registry.errors import BadReference, UsageError
from lorarack.registry.interface import Registry
from lorarack.registry.queries import Imported
from lorarack.registry.reference import parse_reference
from lorarack.registry.registry import open_registry


def mount(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("export")(export)
    app.command("import")(import_)


def export(
    what: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME|REF]... FOLDER",
            help="Adapters and versions, for example support@prod (without any: everything), and a new or empty folder.",
            show_default=False,
        ),
    ],
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Write versions to a folder: plain PEFT folders and one manifest with all that is known of them.

    Example: lorarack export support ./support-export
    """
    *names, folder = what
    target = Path(folder)
    with open_registry(registry, create=False) as opened:
        _check_folder(opened, names, folder)
        done = opened.export_to(target, *names)
    for reference in done.left_out:
        note(f"Left out: {reference}, which is quarantined or damaged.")
    count = len(done.versions)
    emit(done, json, lambda: f"Exported {count} version{'s' * (count != 1)} to {escape(str(target))}")


def _check_folder(opened: Registry, names: list[str], folder: str) -> None:
    """Without a folder the last name would be taken for one, and what it names would not be exported.

    Raises:
        UsageError: ``folder`` names an adapter here, or one of its versions.
    """
    try:
        name = parse_reference(folder).name
    except BadReference:
        return
    if any(adapter.name == name for adapter in opened.adapters()):
        meant = " ".join([*names, folder])
        raise UsageError(
            f"{folder!r} names an adapter here, and no folder is given; write 'lorarack export {meant} FOLDER', "
            f"or './{folder}' if that is the folder.",
            code="no_folder",
        )


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
