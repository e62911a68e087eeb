"""``lorarack verify``."""

from collections.abc import Iterator
from typing import Annotated, Any

import typer
from rich.table import Table

from lorarack.registry.cli.options import JsonOption, RegistryOption
from lorarack.registry.cli.output import emit, out
from lorarack.registry.cli.tables import size, table
from lorarack.registry.errors import Damaged, NotFound, UsageError
from lorarack.registry.registry import Registry, open_registry
from lorarack.registry.values import Version


def mount(app: typer.Typer) -> None:
    """Add the command."""
    app.command("verify")(verify)


def verify(
    reference: Annotated[
        str | None, typer.Argument(metavar="[REF]", help="For example support@3.", show_default=False)
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All versions of all adapters.")] = False,
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Read all stored bytes of a version and compare them with their digests; what is damaged is quarantined.

    Example: lorarack verify support@3
    """
    if (reference is None) is not everything:
        raise UsageError("Name one version, or give --all.", code="bad_verify")
    with open_registry(registry, create=False) as opened:
        if reference is not None:
            found = _checked(opened.verify(reference))
            emit(found, json, lambda: f"[bold]{found['reference']}[/bold] is whole ({size(found['bytes'])})")
            return
        records = [record for each in _all(opened) if (record := _check(opened, each))]
    emit(records, json, lambda: _table(records) if records else "There are no versions yet.")
    if damaged := [record["reference"] for record in records if not record["whole"]]:
        out.file.flush()
        raise Damaged(
            f"{len(damaged)} of {len(records)} versions are damaged and now quarantined: {', '.join(damaged)}; "
            "publish them again from their sources."
        )


def _all(registry: Registry) -> Iterator[Version]:
    for adapter in registry.adapters():
        yield from registry.versions(adapter.name)


def _check(registry: Registry, version: Version) -> dict[str, Any] | None:
    try:
        return _checked(registry.verify(version.reference))
    except Damaged as error:
        return {**version.brief(), "whole": False, "bytes": None, "damage": error.message}
    except NotFound:
        return None  # deleted meanwhile


def _checked(version: Version) -> dict[str, Any]:
    stored = sum(file.bytes for file in version.files)
    return {**version.brief(), "whole": True, "bytes": stored, "damage": None}


def _table(records: list[dict[str, Any]]) -> Table:
    rows = table("version", "stored bytes", ">size")
    for record in records:
        whole = "whole" if record["whole"] else "[bold red]damaged[/bold red]"
        rows.add_row(record["reference"], whole, size(record["bytes"]) if record["whole"] else "–")
    return rows
