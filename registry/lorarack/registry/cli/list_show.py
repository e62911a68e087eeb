"""``lorarack list`` and ``lorarack show``."""

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from lorarack.registry.artifact.manifest import CHAT_TEMPLATE
from lorarack.registry.cli.options import JsonOption, RegistryOption
from lorarack.registry.cli.output import emit, out
from lorarack.registry.cli.render import short_digest, size, table
from lorarack.registry.cli.versions import family_table, metric_texts
from lorarack.registry.interface import Registry
from lorarack.registry.parity import ServingRecord
from lorarack.registry.registry import open_registry
from lorarack.registry.serving_defaults import ServingDefaults
from lorarack.registry.values import Adapter, Version

#: Characters of a default that are shown.
_LONGEST = 160


def mount(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("list")(list_)
    app.command("show")(show)


def list_(
    name: Annotated[str | None, typer.Argument(help="An adapter; without it, all adapters.")] = None,
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """List the adapters, or one adapter's versions: those of one recipe together, best first by eval loss.

    Example: lorarack list support
    """
    with open_registry(registry, create=False) as opened:
        if name is not None:
            versions = opened.versions(name)
            emit(versions, json, lambda: family_table(versions))
        else:
            _list_adapters(opened, json)


def show(
    reference: Annotated[str, typer.Argument(metavar="REF", help="For example support, support@3 or support@prod.")],
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Show everything about one version.

    Example: lorarack show support@prod
    """
    with open_registry(registry, create=False) as opened:
        version = opened.resolve(reference, with_curves=True)
        defaults, served = opened.serving_defaults(version), opened.serving_record(version)
    record = {**version.to_json(), "defaults": defaults.given, "chat_template": version.file_digest(CHAT_TEMPLATE)}
    record["serving_record"] = served.to_json() if served else None
    emit(record, json, lambda: _card(version, defaults, served))


def _list_adapters(opened: Registry, json: bool) -> None:
    adapters = opened.adapters()
    if not adapters and not json:
        out.print(
            f"No adapters in {escape(opened.location)} yet. Train one with 'lorarack train', or 'lorarack publish' a PEFT folder."
        )
        return
    emit(adapters, json, lambda: _adapters_table(adapters))


def _adapters_table(adapters: tuple[Adapter, ...]) -> Table:
    rows = table("adapter", "base", ">versions", "ranks", "aliases")
    for adapter in adapters:
        aliases = "  ".join(f"{alias}→{number}" for alias, number in adapter.aliases.items())
        rows.add_row(adapter.name, adapter.base, str(adapter.versions), ", ".join(map(str, adapter.ranks)), aliases)
    return rows


def _card(version: Version, defaults: ServingDefaults, served: ServingRecord | None) -> Table:
    card = Table.grid(padding=(0, 2))
    lines: list[tuple[str, str]] = [
        ("version", f"[bold]{version.reference}[/bold]  ({version.state})"),
        ("aliases", ", ".join(version.aliases) or "none"),
        ("digest", version.digest),
        ("base", f"{version.base}  {short_digest(version.base_fingerprint)}"),
        ("rank, alpha", f"{version.rank}, {version.alpha:g}" + (" (rsLoRA)" if version.rslora else "")),
        ("targets", escape(", ".join(version.target_modules))),
        ("weights", f"{version.parameters:,} parameters, {version.dtype}, {size(version.bytes)}"),
        ("published", f"{version.created_at:%Y-%m-%d %H:%M:%S} UTC by {escape(version.created_by)}"),
        ("engine id", str(version.engine_id)),
    ]
    if template := version.file_digest(CHAT_TEMPLATE):
        lines.append(("chat template", f"{short_digest(template)}, its own"))
    lines += [("default", escape(_line(f"{name} = {value}"))) for name, value in defaults.given.items()]
    if version.description:
        lines.append(("description", escape(version.description)))
    lines += [("tag", escape(f"{key}={value}")) for key, value in sorted(version.tags.items())]
    lines += [("metric", text.replace("=", " = ", 1)) for text in metric_texts(version.metrics, 6)]
    points = len([m for m in version.metrics if m.step is not None])
    if points:
        lines.append(("curves", f"{points} points (in --json)"))
    lines += _provenance(version)
    if served:
        lines.append(("served", escape(f"{served.words} ({served.at:%Y-%m-%d %H:%M} UTC)")))
    for label, text in lines:
        card.add_row(f"[dim]{label}[/dim]", text)
    return card


def _line(text: str) -> str:
    """A long text by its beginning; --json has all of it."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def _provenance(version: Version) -> list[tuple[str, str]]:
    origin = version.provenance
    if origin is None:
        return [("provenance", "none recorded")]
    lines = [("data", escape(f"{d.split}: {d.name}, {d.rows} rows, {short_digest(d.digest)}")) for d in origin.datasets]
    fit = origin.recipe.get("fit")
    if isinstance(fit, dict) and isinstance(fit.get("reason"), str):
        lines.append(("fit", escape(str(fit["reason"]))))
    probe = origin.recipe.get("learning_rate_probe")
    if isinstance(probe, dict) and isinstance(probe.get("reason"), str):
        lines.append(("learning rate", escape(f"{origin.recipe.get('learning_rate')}: {probe['reason']}")))
    if origin.source:
        lines.append(("from", escape(origin.source)))
    if origin.seed is not None:
        lines.append(("seed", str(origin.seed)))
    if origin.wall_seconds is not None:
        lines.append(("trained in", f"{origin.wall_seconds:.0f} s on {escape(origin.hardware or 'unknown hardware')}"))
    if origin.versions:
        lines.append(
            ("libraries", escape(", ".join(f"{name} {number}" for name, number in sorted(origin.versions.items()))))
        )
    return lines
