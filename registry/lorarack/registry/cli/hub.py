"""``lorarack push`` and ``lorarack pull``."""

import typer


def mount(app: typer.Typer) -> None:
    """Add the commands."""
