"""``lorarack diff``."""

import json as json_module
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from lorarack.registry.cli.options import JsonOption, RegistryOption
from lorarack.registry.cli.output import emit
from lorarack.registry.cli.render import table
from lorarack.registry.queries import Change, Diff, ModuleChange
from lorarack.registry.registry import open_registry

_SHOWN = 10


def mount(app: typer.Typer) -> None:
    """Add the command."""
    app.command("diff")(diff)


def diff(
    a: Annotated[str, typer.Argument(metavar="REF", help="For example support@prod.")],
    b: Annotated[str, typer.Argument(metavar="REF", help="For example support@latest.")],
    all_: Annotated[bool, typer.Option("--all", help=f"All modules, not only the {_SHOWN} that differ most.")] = False,
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Show how two versions differ: configuration, metrics, provenance, tags, and the delta weight of each module.

    Example: lorarack diff support@prod support@latest
    """
    with open_registry(registry, create=False) as opened:
        found = opened.diff(a, b)
    emit(found, json, lambda: _tables(found, len(found.modules) if all_ else _SHOWN))


def _tables(found: Diff, shown: int) -> RenderableType:
    parts: list[RenderableType] = [f"[bold]{found.a}[/bold] and [bold]{found.b}[/bold]"]
    for title, changes in (
        ("configuration", found.configuration),
        ("provenance", found.provenance),
        ("tags", found.tags),
    ):
        parts.append(_changes(title, found, changes) if changes else f"{title}: equal")
        if title == "configuration":
            parts.append(_metrics(found) if found.metrics else "metrics: none")
    parts.append(_modules(found, shown))
    return Group(*parts)


def _changes(title: str, found: Diff, changes: Sequence[Change]) -> Table:
    rows = table(title, found.a, found.b)
    for change in changes:
        rows.add_row(escape(change.what), _text(change.a), _text(change.b))
    return rows


def _metrics(found: Diff) -> Table:
    rows = table("metric", f">{found.a}", f">{found.b}", ">change", "")
    for metric in found.metrics:
        verdict = ""
        if metric.change is not None:
            better = metric.change > 0 if metric.higher_is_better else metric.change < 0
            verdict = "equal" if metric.change == 0 else "better" if better else "worse"
        if not metric.comparable:
            verdict = "measured on different data"
        change = f"{metric.change:+.4g}" if metric.change is not None else "–"
        rows.add_row(escape(metric.label), _number(metric.a), _number(metric.b), change, verdict)
    return rows


def _modules(found: Diff, shown: int) -> RenderableType:
    rows = table("norm of the delta weight in", f">{found.a}", f">{found.b}", ">of their difference")
    for module in found.modules[:shown]:
        rows.add_row(escape(module.module), _number(module.a), _number(module.b), _apart(module))
    left = len(found.modules) - shown
    return Group(rows, f"{left} more with a smaller difference: --all shows them.") if left > 0 else rows


def _apart(module: ModuleChange) -> str:
    return "other shape" if module.difference is None else _number(module.difference)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.6g}"


def _text(value: object) -> str:
    if value is None:
        return "–"
    return escape(value if isinstance(value, str) else json_module.dumps(value, ensure_ascii=False))
