"""``lorarack compare``."""

import os
import shlex
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from lorarack.registry.cli.options import JsonOption, RegistryOption
from lorarack.registry.cli.output import emit, note, out
from lorarack.registry.errors import UsageError


def mount(app: typer.Typer) -> None:
    """Add the command."""
    app.command("compare")(compare)


def compare(
    references: Annotated[list[str], typer.Argument(metavar="REF REF…", help="Two versions or more of one base.")],
    data: Annotated[Path, typer.Option(help="Held-out rows, JSON Lines as for training.")],
    base_too: Annotated[bool, typer.Option("--base-too", help="Ask the bare base the same rows.")] = False,
    score: Annotated[
        str | None,
        typer.Option(
            help="exact_match, json_exact or json_f1. Default: json_exact where the data is JSON, else exact_match."
        ),
    ] = None,
    url: Annotated[
        str | None, typer.Option(envvar="LORARACK_URL", help="A running server. Default: one is started, then stopped.")
    ] = None,
    serve_flags: Annotated[
        str, typer.Option("--serve", metavar="FLAGS", help="Flags for the server that is started, in quotes.")
    ] = "",
    at_once: Annotated[int, typer.Option(min=1, max=1024, help="Requests under way at a time.")] = 64,
    max_tokens: Annotated[int, typer.Option(min=1, help="Where an answer is cut off.")] = 256,
    allow_seen: Annotated[
        bool,
        typer.Option("--allow-seen", help="Score rows that the versions were trained on; kept apart as split 'seen'."),
    ] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown instead of a table.")] = False,
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Ask several versions the same rows in one mixed batch, and say which one to keep, and why.

    The cheapest version is kept that the best one does not beat beyond noise. The scores become metrics of the versions.
    Rows that a version was trained on or chosen by are refused (exit code 3). A server's key is taken from LORARACK_TOKEN.

    Example: lorarack compare support@r4 support@r16 --data heldout.jsonl
    """
    from lorarack.adapters.comparison.compare import compare as conduct
    from lorarack.adapters.comparison.plan import plan_comparison
    from lorarack.adapters.comparison.report import as_markdown, as_table
    from lorarack.adapters.data.load import load_rows
    from lorarack.adapters.evaluation.client import ServerClient
    from lorarack.adapters.progress import counting
    from lorarack.registry.registry import open_registry

    if url is not None and serve_flags:
        raise UsageError("--serve is for a server that is started here; with --url leave it out.")
    rows = load_rows(data)
    with open_registry(registry, create=False) as opened, ExitStack() as stack:
        plan = plan_comparison(opened, references, rows, score=score, include_base=base_too, allow_seen=allow_seen)
        address = url if url is not None else _started(stack, plan.base.name, Path(opened.location), serve_flags)
        client = ServerClient(address, os.environ.get("LORARACK_TOKEN"), at_once, max_tokens)
        with counting("asking", plan.requests) as done:
            found = conduct(opened, plan, client, done)
    if markdown and not json:
        out.print(as_markdown(found), markup=False)
        return
    emit(found, json, lambda: as_table(found))


def _started(stack: ExitStack, base: str, registry: Path, flags: str) -> str:
    """Start a server that stops when ``stack`` closes; its address."""
    from datetime import UTC, datetime

    from lorarack.adapters.progress import waiting
    from lorarack.adapters.serving_process import serving
    from lorarack.registry.settings import home_folder

    try:
        given = shlex.split(flags)
    except ValueError as error:
        raise UsageError(f"--serve {flags!r} cannot be split into flags: {error}.", code="bad_flag") from error
    log = home_folder() / "logs" / f"serve-{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.getpid()}.log"
    note(f"Starting a server of {base}; it logs to {log}")
    with waiting("starting the server") as tick:
        server = stack.enter_context(serving(base, registry, log, given, waiting=tick))
    return server.url
