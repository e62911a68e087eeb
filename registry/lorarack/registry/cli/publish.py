"""``lorarack publish``."""

from pathlib import Path
from typing import Annotated

import typer

from lorarack.registry.artifact.prompt_settings import read_defaults
from lorarack.registry.cli.options import JsonOption, RegistryOption
from lorarack.registry.cli.output import emit, note
from lorarack.registry.cli.parsing import parse_metric, parse_parent, parse_tag
from lorarack.registry.cli.render import short_digest
from lorarack.registry.registry import open_registry
from lorarack.registry.values import Published


def mount(app: typer.Typer) -> None:
    """Add the command."""
    app.command("publish")(publish)


def publish(
    folder: Annotated[Path, typer.Argument(help="A PEFT folder, or a Trainer or TRL output folder.")],
    name: Annotated[str, typer.Argument(help="The adapter's name, for example support or acme/support.")],
    base: Annotated[str, typer.Option(help="The base model: name, Hub id or folder.")],
    metric: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="For example eval_loss=0.41 or test/accuracy=0.9+")
    ] = None,
    tag: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="Any number of tags.")] = None,
    parent: Annotated[
        list[str] | None, typer.Option(metavar="NAME@NUMBER[:HOW]", help="What it was derived from: support@1:resized")
    ] = None,
    description: Annotated[str | None, typer.Option(help="One line for people.")] = None,
    defaults: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="JSON with what servers fill into silent requests: system, temperature, stop…"
        ),
    ] = None,
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Check a PEFT folder and make it a version of an adapter.

    Its chat_template.jinja, and its serving_defaults.json or generation_config.json, or in their place --defaults, are part of
    the version: servers apply them.

    A metric's name is train_loss, eval_loss, NAME or SPLIT/NAME; a '+' behind the value says that higher is better.

    Example: lorarack publish ./out support --base smollm2 --metric eval_loss=0.41
    """
    with open_registry(registry, create=False) as opened:
        done = opened.publish(
            folder,
            name,
            base=base,
            metrics=[parse_metric(text) for text in metric or ()],
            tags=dict(parse_tag(text) for text in tag or ()),
            description=description,
            parents=[parse_parent(text) for text in parent or ()],
            defaults=read_defaults(defaults) if defaults else None,
        )
    for text in done.notes:
        note(text)
    version = done.version
    record = {"name": version.adapter, "created": done.created, **version.to_json()}
    emit(record, json, lambda: _sentence(done))


def _sentence(done: Published) -> str:
    version = done.version
    what = "Published" if done.created else "Already there:"
    return f"{what} [bold]{version.reference}[/bold] (rank {version.rank}, {short_digest(version.digest)})"
