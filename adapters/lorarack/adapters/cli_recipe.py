"""A recipe from what a command was given: a file with options over it, or options alone."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from lorarack.adapters.data.source import hub_id
from lorarack.adapters.recipe import Recipe, load_recipe, make_recipe
from lorarack.registry.errors import UsageError

RecipeArgument = Annotated[str, typer.Argument(metavar="RECIPE.yaml|NAME", help="A recipe, or the adapter's name.")]
DataOption = Annotated[
    str | None,
    typer.Option(metavar="FILE|FOLDER|HUB_ID", help="Rows to train on: JSON Lines, JSON, CSV, Parquet, or on the Hub."),
]
ValidationOption = Annotated[
    str | None, typer.Option(metavar="FILE|FOLDER|HUB_ID", help="Rows that choose the best checkpoint.")
]
ColumnOption = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=COLUMN", help="Which column holds what: prompt=question, completion=answer."),
]
AnswersOption = Annotated[
    str | None,
    typer.Option(metavar="last|every", help="Which answers of a conversation are learned. Default: last."),
]

LearningRateOption = Annotated[
    str | None, typer.Option(metavar="RATE|auto", help="Peak of the schedule. auto: short runs choose it first.")
]


def data_settings(
    train: str | None,
    validation: str | None,
    column: list[str] | None,
    answers: str | None,
    test: str | None = None,
) -> dict[str, Any]:
    """What the options say about the rows, as a recipe's ``data``.

    Raises:
        UsageError: an option is empty, or says two things.
    """
    rows = {
        "train": _placed("--data", train),
        "validation": _placed("--validation", validation),
        "test": _placed("--test", test),
        "columns": _columns(column) or None,
        "answers": answers,
    }
    return {key: value for key, value in rows.items() if value is not None}


def recipe_from(what: str | None, given: dict[str, Any], data: dict[str, Any]) -> Recipe:
    """The recipe file with the options over it, or a recipe made of options alone.

    Args:
        what: a recipe file, or the name of an adapter.
        given: keys of the recipe; those that are None are left out.
        data: keys of its ``data``.

    Raises:
        NotFound: no such file.
        UsageError: the recipe is wrong, or options are missing.
    """
    if what is None:
        raise UsageError(
            "Name a recipe file, or an adapter with --base and --data; or a run to go on with, by --resume.",
            code="usage",
        )
    given = {key: value for key, value in given.items() if value is not None}
    if what.endswith((".yaml", ".yml")) or os.path.isfile(what):  # which says no to what is no path at all
        settings = load_recipe(Path(what)).to_json()
        return make_recipe({**settings, **given, "data": {**settings["data"], **data}})
    for key, flag in (("base", "--base"), ("train", "--data")):
        if key not in given and key not in data:
            raise UsageError(
                f"Training {what!r} needs {flag}; or give a recipe file, whose name ends in .yaml.", code="usage"
            )
    return make_recipe({"name": what, **given, "data": data})


def _placed(flag: str, source: str | None) -> str | None:
    """A path from where the command is given; the id of a data set on the Hub as it is."""
    if source is not None and not source.strip():
        raise UsageError(
            f"{flag} is empty; name a file, a folder or a data set on the Hub, or leave it out.", code="usage"
        )
    if source is None or (hub_id(source) and not os.path.exists(source)):
        return source
    return os.path.abspath(source)


def _columns(pairs: list[str] | None) -> dict[str, str]:
    split = [pair.partition("=") for pair in pairs or []]
    if wrong := next((pair for pair in split if not all(pair)), None):
        raise UsageError(f"--column is NAME=COLUMN, for example prompt=question, not {''.join(wrong)!r}.", code="usage")
    found: dict[str, str] = {}
    for name, _, column in split:
        if name in found:
            raise UsageError(
                f"--column says of {name!r} twice which column holds it ({found[name]!r} and {column!r}); give it once.",
                code="usage",
            )
        found[name] = column
    return found
