"""``lorarack gc`` and ``lorarack retention``."""

from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.markup import escape

from lorarack.registry.cli.options import JsonOption, RegistryOption
from lorarack.registry.cli.output import emit
from lorarack.registry.cli.render import short_digest, size, table
from lorarack.registry.errors import UsageError
from lorarack.registry.queries import GC_KINDS, GcItem, GcReport, Retention
from lorarack.registry.registry import open_registry


def mount(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("gc")(gc)
    app.command("retention")(retention)


def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Remove nothing; say what would be removed.")] = False,
    grace: Annotated[
        float, typer.Option(metavar="SECONDS", help="Minimum age of unreferenced files to remove.")
    ] = 3600,
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Remove archived versions that nothing holds, what no version has any more, and answers of experiments that ended long ago.

    It says why each thing is kept or removed.

    Example: lorarack gc --dry-run
    """
    with open_registry(registry, create=False) as opened:
        done = opened.gc(dry_run=dry_run, grace_seconds=grace)
    record = done.to_json() | {"freed": done.freed}
    emit(record, json, lambda: _shown(done))


def retention(
    name: Annotated[str, typer.Argument(help="An adapter.")],
    keep_last: Annotated[int | None, typer.Option(help="Keep this many of its newest versions.")] = None,
    keep_days: Annotated[int | None, typer.Option(help="Days to keep its versions.")] = None,
    none: Annotated[bool, typer.Option("--none", help="Remove the rule.")] = False,
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Say which versions of an adapter can neither be deleted nor collected; without options, show the rule.

    Example: lorarack retention support --keep-last 5 --keep-days 30
    """
    given = keep_last is not None or keep_days is not None
    if none and given:
        raise UsageError("--none means no rule; give it alone.", code="bad_retention")
    with open_registry(registry, create=False) as opened:
        if none or given:
            opened.set_retention(name, keep_last=keep_last, keep_days=keep_days)
        rule = opened.retention(name)
    emit({"name": name, **rule.to_json()}, json, lambda: f"[bold]{name}[/bold] {_sentence(rule)}")


def _sentence(rule: Retention) -> str:
    parts = []
    if rule.keep_last is not None:
        parts.append(f"the newest {rule.keep_last}")
    if rule.keep_days is not None:
        parts.append(f"those younger than {rule.keep_days} days")
    return f"keeps of its versions {' and '.join(parts)}" if parts else "has no retention rule"


def _shown(done: GcReport) -> RenderableType:
    """What is removed, and what is kept although it is not simply in use."""
    rows = table("what", "name", "outcome", "why", ">bytes")
    usual = [item for item in done.items if _is_usual(item)]
    for item in done.items:
        if not _is_usual(item):
            word = "[bold]removed[/bold]" if item.removed else "kept"
            rows.add_row(item.kind, _name(item), word, escape(item.reason), size(item.bytes) if item.bytes else "")
    would = "Would free" if done.dry_run else "Freed"
    kinds = [kind for kind in GC_KINDS if kind in GC_KINDS[:3] or done.removed(kind)]
    counts = ", ".join(_count(done.removed(kind), kind) for kind in kinds)
    end = f"{would} {size(done.freed)}: {counts}. Ready and kept: {_count(len(usual), 'version')}."
    return Group(rows, end) if rows.row_count else end


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _is_usual(item: GcItem) -> bool:
    return item.kind == "version" and item.reason.startswith("it is ready")


def _name(item: GcItem) -> str:
    return short_digest(item.name) if item.kind in ("blob", "evaluation") else escape(item.name)
