"""``lorarack archive``, ``restore`` and ``quarantine``."""

from typing import Annotated

import typer
from rich.markup import escape

from lorarack.registry.cli.options import JsonOption, RegistryOption
from lorarack.registry.cli.output import emit
from lorarack.registry.registry import open_registry
from lorarack.registry.values import Version

_VersionArgument = Annotated[
    str, typer.Argument(metavar="NAME@VERSION", help="The version itself, for example support@3.")
]
_ReasonOption = Annotated[str | None, typer.Option(help="Why; kept with the version and in the log.")]


def mount(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("archive")(archive)
    app.command("restore")(restore)
    app.command("quarantine")(quarantine)


def archive(
    reference: _VersionArgument,
    reason: _ReasonOption = None,
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Put a version aside: found by number and digest only, and removed by gc once nothing holds it.

    Example: lorarack archive support@3 --reason "support@4 is better"
    """
    with open_registry(registry, create=False) as opened:
        _say(opened.archive(reference, reason), json)


def restore(
    reference: _VersionArgument,
    reason: _ReasonOption = None,
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Make an archived or quarantined version ready again.

    Example: lorarack restore support@3
    """
    with open_registry(registry, create=False) as opened:
        _say(opened.restore(reference, reason), json)


def quarantine(
    reference: _VersionArgument,
    reason: Annotated[str, typer.Option(help="Why it must not be used; shown to other users.")],
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Take a version out of use, even if an alias names it.

    Example: lorarack quarantine support@3 --reason "trained on test data"
    """
    with open_registry(registry, create=False) as opened:
        _say(opened.quarantine(reference, reason), json)


def _say(version: Version, as_json: bool) -> None:
    record = {**version.brief(), "state": version.state.value, "reason": version.state_reason}
    because = f": {escape(version.state_reason)}" if version.state_reason else ""
    emit(record, as_json, lambda: f"[bold]{version.reference}[/bold] is {version.state}{because}")
