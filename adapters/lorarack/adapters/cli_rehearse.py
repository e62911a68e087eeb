"""``lorarack rehearse``."""

import os
import shlex
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from lorarack.registry.cli.options import JsonOption, RegistryOption
from lorarack.registry.cli.output import emit
from lorarack.registry.cli.render import table
from lorarack.registry.errors import UsageError

if TYPE_CHECKING:
    from lorarack.adapters.rehearsal import Rehearsal, RehearsedVersion
    from lorarack.registry.parity import Parity


def mount(app: typer.Typer) -> None:
    """Add the command."""
    app.command("rehearse")(rehearse)


def rehearse(
    target: Annotated[
        str,
        typer.Argument(
            metavar="URL-or-BASE", help="A running server of the new kind, or a base: then one is started here."
        ),
    ],
    serve_args: Annotated[
        str, typer.Option("--serve-args", metavar="FLAGS", help="Flags for the server that is started, in quotes.")
    ] = "",
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Replay the proofs of all versions that aliases name on another server, before an upgrade of vLLM, base or machine.

    Each version is loaded there, must change the base, and must give its reference texts the log probabilities of its training,
    up to rounding. Exit code 3: a version failed. The server runs over this registry or a copy of it; its key is taken from
    LORARACK_TOKEN (with the scope admin it says its number type, without it nothing but plain failures is refused).

    Example: lorarack rehearse http://new-machine:8000
    """
    from lorarack.adapters.progress import ConsoleEvaluation
    from lorarack.adapters.rehearsal import rehearse as conduct
    from lorarack.registry.registry import open_registry

    try:
        flags = shlex.split(serve_args)
    except ValueError as error:
        raise UsageError(
            f"--serve-args {serve_args!r} cannot be split into flags: {error}.", code="bad_flag"
        ) from error
    if flags and "://" in target:
        raise UsageError("--serve-args is for a server that is started here; for one by its URL leave it out.")
    with open_registry(registry, create=False) as opened, ConsoleEvaluation() as progress:
        found = conduct(opened, target, api_key=os.environ.get("LORARACK_TOKEN"), serve_args=flags, progress=progress)
    emit(found.to_json(), json, lambda: _table(found))
    if not found.passed:
        raise typer.Exit(3)


def _table(found: "Rehearsal") -> Table:
    rows = table("version", "aliases", "", ">effect", ">off training", ">up to", ">before", "")
    rows.title = f"{found.base}, vLLM {found.vllm or 'unknown'}, {found.dtype or 'number type not said'}"
    rows.title_justify = "left"
    for one in found.versions:
        rows.add_row(*_row(one))
    return rows


def _row(one: "RehearsedVersion") -> list[str]:
    return [
        one.version.reference, ", ".join(one.aliases), one.verdict.value, _number(one.effect), _mean(one.parity),
        _number(one.parity.tolerance if one.parity else None), _mean(one.before), escape(one.reason or ""),
    ]  # fmt: skip


def _mean(parity: "Parity | None") -> str:
    return _number(parity.mean if parity else None)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2g}"
