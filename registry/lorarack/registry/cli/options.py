"""Options that every command spells the same way."""

from typing import Annotated

import typer

RegistryOption = Annotated[
    str | None,
    typer.Option(
        "--registry",
        envvar="LORARACK_REGISTRY",
        metavar="FOLDER",
        help="Folder of the registry. Default: $LORARACK_HOME, else ~/.lorarack.",
        show_default=False,
    ),
]

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object or array on stdout.")]
