"""``lorarack base add``, ``list`` and ``link``."""

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from lorarack.registry.bases import RELATIONS
from lorarack.registry.cli.options import JsonOption, RegistryOption
from lorarack.registry.cli.output import emit, note, out
from lorarack.registry.cli.progress import reading_weights
from lorarack.registry.cli.render import short_digest, table
from lorarack.registry.registry import open_registry
from lorarack.registry.values import Base


def mount(app: typer.Typer) -> None:
    """Add the ``base`` group."""
    group = typer.Typer(no_args_is_help=True, help="Base models: what adapters are trained on and served over.")
    group.command("add")(add)
    group.command("list")(list_bases)
    group.command("link")(link)
    app.add_typer(group, name="base")


def add(
    source: Annotated[str, typer.Argument(metavar="ID-OR-PATH", help="A folder, or ORG/REPO[@REVISION] on the Hub.")],
    name: Annotated[str | None, typer.Option(help="Plain name. Default: the last part of the id, lower-cased.")] = None,
    use: Annotated[bool, typer.Option("--use", help="Load an already known base from this place from now on.")] = False,
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Fingerprint a base model and add it; a new registry begins so. Weights are hashed once; from the Hub nothing large is loaded.

    Example: lorarack base add ./SmolLM2-135M-Instruct --name smollm2
    """
    with open_registry(registry) as opened, reading_weights() as progress:
        base = opened.add_base(source, name, use=use, progress=progress, say=note)
    record = _record(base)
    emit(
        record,
        json,
        lambda: f"Base [bold]{base.name}[/bold] {short_digest(base.fingerprint)} from {escape(base.source)}",
    )


def list_bases(registry: RegistryOption = None, json: JsonOption = False) -> None:
    """List the base models.

    Example: lorarack base list
    """
    with open_registry(registry, create=False) as opened:
        bases = opened.bases()
    if not bases and not json:
        out.print(
            "No base models yet. Add one with 'lorarack base add ID-or-PATH', or get the demo's: 'lorarack demo base'."
        )
        return
    emit([_record(base) for base in bases], json, lambda: _table(bases))


def link(
    name: Annotated[str, typer.Argument(help="The base that was made from another.")],
    original: Annotated[str, typer.Option(metavar="NAME", help="The base that it was made from.")],
    relation: Annotated[str, typer.Option(help=f"How: {', '.join(RELATIONS)}.")],
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Say that a base was made from another: quantized, converted or finetuned.

    Example: lorarack base link smollm2-awq --original smollm2 --relation quantized
    """
    with open_registry(registry, create=False) as opened:
        base = opened.link_base(name, original, relation)
    emit(_record(base), json, lambda: f"Base [bold]{base.name}[/bold] is {base.original}, {base.relation}")


def _record(base: Base) -> dict[str, object]:
    """JSON for a base: everything but the long module table; ``path`` is what transformers and vLLM can load."""
    return {**base.model_dump(mode="json", exclude={"modules", "config"}), "path": base.source}


def _table(bases: tuple[Base, ...]) -> Table:
    rows = table("name", "architecture", ">parameters", "fingerprint", "template", "made from", "source")
    for base in bases:
        rows.add_row(
            base.name,
            escape(base.architecture),
            f"{base.parameters:,}",
            short_digest(base.fingerprint),
            short_digest(base.template) if base.template else "",
            f"{base.original}, {base.relation}" if base.original else "",
            escape(base.source),
        )
    return rows
