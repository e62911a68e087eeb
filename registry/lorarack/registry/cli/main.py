"""The ``lorarack`` command: its own commands, those that other components mount, and what becomes of errors."""

import sys
from importlib.metadata import entry_points, version
from typing import Annotated

import typer

from lorarack.registry.cli import (
    alias,
    base,
    collecting,
    diff,
    events,
    hub,
    keep,
    lineage,
    look,
    output,
    portability,
    promote,
    publish,
    search,
    states,
    tag,
    verify,
)
from lorarack.registry.errors import LorarackError


def build_app() -> typer.Typer:
    """The root application with every installed component's commands."""
    app = typer.Typer(
        name="lorarack",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    for command_module in (
        base,
        publish,
        look,
        search,
        diff,
        lineage,
        events,
        tag,
        alias,
        promote,
        keep,
        states,
        collecting,
        verify,
        portability,
        hub,
    ):
        command_module.mount(app)
    for point in sorted(entry_points(group="lorarack.commands"), key=lambda found: found.name):
        point.load()(app)
    return app


def _show_version(wanted: bool) -> None:
    if wanted:
        output.out.print(f"lorarack {version('lorarack')}")
        raise typer.Exit


def _root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """One base model, many LoRA adapters: version them, serve them all from one engine, compare their ranks."""


def main() -> None:
    """Run the command line; errors that lorarack foresaw become one sentence and their exit code."""
    try:
        build_app()()
    except LorarackError as error:
        output.complain(error, as_json="--json" in sys.argv)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
