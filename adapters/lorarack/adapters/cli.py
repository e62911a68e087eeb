"""Commands of the adapters component: train, resize, merge, scale, compare."""

import typer

from lorarack.adapters import cli_compare, cli_ranks, cli_train


def mount(app: typer.Typer) -> None:
    """Add the commands to the root application."""
    for commands in (cli_train, cli_ranks, cli_compare):
        commands.mount(app)
