"""Commands of the server component: serve, ask."""

import typer


def mount(app: typer.Typer) -> None:
    """Add the commands to the root application."""
