"""``lorarack verify``."""

from collections.abc import Iterator
from typing import Annotated, Any

import typer
from rich.table import Table

from lorarack.registry.cli.options import JsonOption, RegistryOption
from lorarack.registry.cli.output import emit, out
from lorarack.registry.cli.render import size, table
from lorarack.registry.errors import Damaged, NotFound, StoreError, UsageError
from lorarack.registry.interface import Registry
from lorarack.registry.registry import open_registry
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
    """Read all stored bytes of a version and compare them with their digests; what has other bytes is out of use then.

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
    out.file.flush()
    damaged, unreadable = (
        [record["reference"] for record in records if record["kind"] == kind] for kind in ("damaged", "unreadable")
    )
    lost = f"{len(unreadable)} of {len(records)} versions have files that are not there or cannot be read: {', '.join(unreadable)}"
    if damaged:
        raise Damaged(
            f"{len(damaged)} of {len(records)} versions are damaged and out of use: {', '.join(damaged)}; "
            f"publish them again from their sources.{f' {lost}.' if unreadable else ''}"
        )
    if unreadable:
        raise StoreError(f"{lost}; bring the disk of the registry back, or publish them again from their sources.")


def _all(registry: Registry) -> Iterator[Version]:
    for adapter in registry.adapters():
        yield from registry.versions(adapter.name)


def _check(registry: Registry, version: Version) -> dict[str, Any] | None:
    try:
        return _checked(registry.verify(version.reference))
    except StoreError as error:
        what = "damaged" if isinstance(error, Damaged) else "unreadable"
        return {**version.brief(), "whole": False, "bytes": None, "damage": error.message, "kind": what}
    except NotFound:
        return None  # deleted meanwhile


def _checked(version: Version) -> dict[str, Any]:
    stored = sum(file.bytes for file in version.files)
    return {**version.brief(), "whole": True, "bytes": stored, "damage": None, "kind": None}


def _table(records: list[dict[str, Any]]) -> Table:
    rows = table("version", "stored bytes", ">size")
    for record in records:
        whole = "whole" if record["whole"] else f"[bold red]{record['kind']}[/bold red]"
        rows.add_row(record["reference"], whole, size(record["bytes"]) if record["whole"] else "–")
    return rows
