"""Commands of the adapters component: train, study, resize, merge, scale, compare, rehearse."""

import typer

from lorarack.adapters import cli_compare, cli_ranks, cli_rehearse, cli_study, cli_train


def mount(app: typer.Typer) -> None:
    """Add the commands to the root application."""
    for commands in (cli_train, cli_study, cli_ranks, cli_compare, cli_rehearse):
        commands.mount(app)
