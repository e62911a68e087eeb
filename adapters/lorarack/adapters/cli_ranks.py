"""``lorarack resize``, ``lorarack merge`` and ``lorarack scale``."""

from typing import Annotated

import typer

from lorarack.registry.cli.options import JsonOption, RegistryOption
from lorarack.registry.cli.output import emit, note
from lorarack.registry.errors import UsageError
from lorarack.registry.registry import open_registry
from lorarack.registry.values import Published

NameOption = Annotated[str | None, typer.Option(help="The adapter to publish to. Default: that of the first version.")]
Reference = Annotated[str, typer.Argument(metavar="REF", help="For example support@3 or support@r16.")]


def mount(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("resize")(resize)
    app.command("merge")(merge)
    app.command("scale")(scale)


def resize(
    reference: Reference,
    rank: Annotated[int | None, typer.Option(help="The new rank, lower than the version's.")] = None,
    energy: Annotated[
        float | None,
        typer.Option(metavar="SHARE", help="Or: the share to keep of the squared singular values, as 0.99."),
    ] = None,
    name: NameOption = None,
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Publish the best approximation of a version at a lower rank, without training.

    Example: lorarack resize support@r64 --rank 16
    """
    from lorarack.adapters.ranks.resize import resize as operate

    with open_registry(registry, create=False) as opened:
        done = operate(opened, reference, rank=rank, energy=energy, name=name)
    _emit(done, json)


def merge(
    references: Annotated[list[str], typer.Argument(metavar="REF REF…", help="Two versions or more of one base.")],
    method: Annotated[
        str,
        typer.Option(
            help="PEFT's: linear, cat, svd, ties, dare_linear, dare_ties, magnitude_prune, or these with _svd."
        ),
    ] = "linear",
    weights: Annotated[
        str | None, typer.Option(metavar="W,W…", help="One number a version. Default: equal parts (1 each for ties).")
    ] = None,
    rank: Annotated[int | None, typer.Option(help="For svd methods. Default: the largest rank.")] = None,
    density: Annotated[float, typer.Option(help="Share of values to keep, for ties, dare and magnitude_prune.")] = 0.5,
    seed: Annotated[int, typer.Option(help="Decides what dare drops.")] = 0,
    name: NameOption = None,
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Publish one version merged from several of one base, by PEFT's methods.

    Example: lorarack merge support@3 tone@1 --method ties --weights 1,0.5 --name blend
    """
    from lorarack.adapters.ranks.merge import merge as operate

    parts = None if weights is None else _numbers(weights)
    with open_registry(registry, create=False) as opened:
        done = operate(
            opened, references, method=method, weights=parts, rank=rank, density=density, seed=seed, name=name
        )
    _emit(done, json)


def scale(
    reference: Reference,
    by: Annotated[float, typer.Option(metavar="FACTOR", help="What its effect is multiplied by.")],
    name: NameOption = None,
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Publish a version whose effect is a multiple of another's: the same weights, another alpha.

    Example: lorarack scale support@3 --by 0.8
    """
    from lorarack.adapters.ranks.scale import scale as operate

    with open_registry(registry, create=False) as opened:
        done = operate(opened, reference, by, name=name)
    _emit(done, json)


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(
            f"--weights {text!r} is no list of numbers; write it as 0.7,0.3.", code="bad_weights"
        ) from error


def _emit(done: Published, json: bool) -> None:
    for text in done.notes:
        note(text)
    version = done.version
    parents = ", ".join(parent.version for parent in version.parents)
    what = "Published" if done.created else "Already there:"
    record = {"name": version.adapter, "created": done.created, **version.to_json()}
    emit(record, json, lambda: f"{what} [bold]{version.reference}[/bold] (rank {version.rank}), made from {parents}")
