"""``lorarack study``."""

import os
from typing import Annotated, Literal

import typer

from lorarack.adapters.cli_recipe import (
    AnswersOption,
    ColumnOption,
    DataOption,
    LearningRateOption,
    RecipeArgument,
    ValidationOption,
    data_settings,
    recipe_from,
)
from lorarack.adapters.evaluation.scores import SCORE_NAMES_WITHOUT_JUDGE
from lorarack.registry.cli.options import JsonOption, RegistryOption
from lorarack.registry.cli.output import emit, note, talk
from lorarack.registry.registry import open_registry


def mount(app: typer.Typer) -> None:
    """Add the command."""
    app.command("study")(study)


def study(
    what: RecipeArgument,
    base: Annotated[str | None, typer.Option(help="The base model: name, Hub id or folder.")] = None,
    data: DataOption = None,
    validation: ValidationOption = None,
    column: ColumnOption = None,
    answers: AnswersOption = None,
    strategy: Annotated[
        Literal["ladder", "ascend", "grid"],
        typer.Option(help="Train high and cut down, start low and grow, or try all."),
    ] = "ladder",
    rank: Annotated[
        list[int] | None, typer.Option(help="Candidates. Default: the recipe's; of one, the powers of two up to it.")
    ] = None,
    margin: Annotated[float, typer.Option(help="A loss higher by this share counts as not worse.")] = 0.01,
    rate: Annotated[list[float] | None, typer.Option(help="For grid: learning rates to try.")] = None,
    learning_rate: LearningRateOption = None,
    batch_size: Annotated[int | None, typer.Option(help="Rows in one forward pass.")] = None,
    epochs: Annotated[float | None, typer.Option(help="Times that a whole run sees every row.")] = None,
    max_steps: Annotated[int | None, typer.Option(help="Maximum steps of a whole run.")] = None,
    seed: Annotated[int | None, typer.Option()] = None,
    seeds: Annotated[int, typer.Option(help="Seeds per rank; several separate the rank's effect from chance.")] = 1,
    test: Annotated[
        str | None, typer.Option(help="Held-out rows for --score; training only checks that it shares none.")
    ] = None,
    score: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Score the family's answers to --test on a server: {SCORE_NAMES_WITHOUT_JUDGE}. May be repeated."
        ),
    ] = None,
    url: Annotated[
        str | None, typer.Option(envvar="LORARACK_URL", help="A running server for --score. Default: one is started.")
    ] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="For --score: where an answer is cut off.")] = 256,
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Find the rank for your rows: train, compare ranks by validation loss, recommend one, publish the family.

    A study that was stopped goes on when the same command is given again.

    With --score the versions answer held-out rows in one mixed batch of a server, and the report has their scores, their time a
    token and what `compare` says of them. A server's key is taken from LORARACK_TOKEN.

    Example: lorarack study support --base smollm2 --data rows.csv --rank 32
    """
    given: dict[str, object] = {
        "base": base,
        "learning_rate": learning_rate,
        "batch_size": batch_size,
        "epochs": epochs,
        "max_steps": max_steps,
        "seed": seed,
    }
    ranks = tuple(rank or ())
    if len(ranks) == 1:
        given["ranks"] = list(ranks)
        ranks = ()
    recipe = recipe_from(what, given, data_settings(data, validation, column, answers, test))
    from lorarack.adapters.evaluation.server import EvaluationServer
    from lorarack.adapters.progress import ConsoleEvaluation
    from lorarack.adapters.studies.run import study as run
    from lorarack.adapters.studies.table import as_table
    from lorarack.adapters.training.progress import ConsoleProgress

    server = EvaluationServer(url, os.environ.get("LORARACK_TOKEN"), max_tokens=max_tokens)
    with (
        open_registry(registry, create=False) as opened,
        ConsoleProgress(talk) as progress,
        ConsoleEvaluation() as shown,
    ):
        report = run(
            recipe,
            opened,
            progress,
            strategy=strategy,
            ranks=ranks,
            margin=margin,
            rates=tuple(rate or ()),
            seeds=seeds,
            scores=tuple(score or ()),
            server=server,
            evaluation=shown,
        )
    if json:
        note(f"figures, curves and weights: {report.folder}")
    emit(report, json, lambda: as_table(report))
