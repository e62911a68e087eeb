"""Commands of the adapters component: train, compare, demo."""

import typer


def mount(app: typer.Typer) -> None:
    """Add the commands to the root application."""
