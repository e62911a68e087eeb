"""``lorarack tag``."""

from typing import Annotated

import typer
from rich.markup import escape

from lorarack.registry.cli.options import JsonOption, RegistryOption
from lorarack.registry.cli.output import emit
from lorarack.registry.cli.parsing import parse_tag
from lorarack.registry.errors import UsageError
from lorarack.registry.registry import open_registry
from lorarack.registry.values import Version


def mount(app: typer.Typer) -> None:
    """Add the command."""
    app.command("tag")(tag)


def tag(
    reference: Annotated[str, typer.Argument(metavar="REF", help="For example support@3.")],
    tags: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Tags to set.")] = None,
    remove: Annotated[list[str] | None, typer.Option(metavar="KEY", help="Remove this tag.")] = None,
    description: Annotated[str | None, typer.Option(help="One line for people; '' removes it.")] = None,
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Set and remove a version's tags, and its description.

    Example: lorarack tag support@3 reviewed=yes --remove draft --description "answers refunds in one line"
    """
    new = dict(parse_tag(text) for text in tags or ())
    if not new and not remove and description is None:
        raise UsageError("Nothing to do; give KEY=VALUE, --remove KEY or --description TEXT.", code="nothing_to_do")
    with open_registry(registry, create=False) as opened:
        version = opened.describe(reference, tags=new, without=remove or (), description=description)
    emit(version, json, lambda: _sentence(version))


def _sentence(version: Version) -> str:
    tags = " ".join(f"{key}={value}" for key, value in sorted(version.tags.items())) or "no tags"
    about = f"\n{escape(version.description)}" if version.description else ""
    return f"[bold]{version.reference}[/bold] {escape(tags)}{about}"
