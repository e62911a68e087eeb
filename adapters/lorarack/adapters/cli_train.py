"""``lorarack train``."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from lorarack.adapters.cli_recipe import (
    AnswersOption,
    ColumnOption,
    DataOption,
    LearningRateOption,
    ValidationOption,
    data_settings,
    recipe_from,
)
from lorarack.adapters.recipe import Recipe, make_recipe
from lorarack.adapters.training.fit import fit_of
from lorarack.adapters.training.learning_rate import probe_behind
from lorarack.adapters.training.processes import is_first
from lorarack.adapters.training.run_folder import RunFolder, new_run_folder
from lorarack.adapters.training.trained import as_trained
from lorarack.registry.cli.options import JsonOption, RegistryOption
from lorarack.registry.cli.output import emit, note, talk
from lorarack.registry.cli.render import size, table
from lorarack.registry.errors import UsageError
from lorarack.registry.registry import open_registry
from lorarack.registry.values import Metric, Published


def mount(app: typer.Typer) -> None:
    """Add the command."""
    app.command("train")(train)


def train(
    what: Annotated[
        str | None, typer.Argument(metavar="RECIPE.yaml|NAME", help="A recipe, or the adapter's name.")
    ] = None,
    base: Annotated[str | None, typer.Option(help="The base model: name, Hub id or folder.")] = None,
    data: DataOption = None,
    validation: ValidationOption = None,
    column: ColumnOption = None,
    answers: AnswersOption = None,
    rank: Annotated[list[int] | None, typer.Option(help="One version is trained for each.")] = None,
    alpha: Annotated[float | None, typer.Option(help="Default: twice the rank.")] = None,
    target_module: Annotated[list[str] | None, typer.Option(help="Default: all linear modules but lm_head.")] = None,
    learning_rate: LearningRateOption = None,
    batch_size: Annotated[int | None, typer.Option(help="Rows in one forward pass.")] = None,
    epochs: Annotated[float | None, typer.Option(help="Times that every row is seen.")] = None,
    max_steps: Annotated[int | None, typer.Option(help="Maximum steps.")] = None,
    seed: Annotated[int | None, typer.Option()] = None,
    reuse: Annotated[
        bool, typer.Option("--reuse", help="Do not train again what the same recipe has already made.")
    ] = False,
    run: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where the run is kept. Default: runs/ in the home folder.")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Go on with the run that is kept there, with its recipe.")
    ] = None,
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Train an adapter, at one rank or several, and publish a version for each.

    Either a recipe file (options then replace its keys) or a name with --base and --data. A run that was stopped is taken up again
    with --resume, and ends with the weights that it would have had.

    Example: lorarack train support --base smollm2 --data rows.jsonl --rank 4 --rank 16
    """
    given = {
        "base": base,
        "ranks": rank,
        "alpha": alpha,
        "target_modules": target_module,
        "learning_rate": learning_rate,
        "batch_size": batch_size,
        "epochs": epochs,
        "max_steps": max_steps,
        "seed": seed,
    }
    rows = data_settings(data, validation, column, answers)
    if run is not None and resume is not None:
        raise UsageError("--run begins a run and --resume goes on with one; give one of the two.", code="usage")
    recipe = _resumed(resume, what, given, rows) if resume else recipe_from(what, given, rows)
    from lorarack.adapters.training.progress import ConsoleProgress
    from lorarack.adapters.training.run import train as run_training

    folder = resume or run or new_run_folder(recipe.name)
    with open_registry(registry, create=False) as opened, ConsoleProgress(talk) as progress:
        published = run_training(recipe, opened, progress, reuse=reuse, run=folder, resume=resume is not None)
    if not is_first():
        return
    for done in published:
        for text in done.notes:
            note(text)
        if fit := fit_of(as_trained(done)):
            note(f"{done.version.reference}: {fit.reason}.")
    counted = [report.to_json() for report in progress.reports]
    emit([{**_record(done), "data": counted} for done in published], json, lambda: _table(published))


def _resumed(folder: Path, what: str | None, given: dict[str, Any], data: dict[str, Any]) -> Recipe:
    """The recipe of a run; other options must agree with it."""
    recipe = RunFolder.open(folder).recipe
    if what is not None and (what.endswith((".yaml", ".yml")) or os.path.isfile(what)):
        said = recipe_from(what, given, data)
    else:
        settings = recipe.to_json()
        over = {key: value for key, value in given.items() if value is not None}
        said = make_recipe({**settings, "name": what or recipe.name, **over, "data": {**settings["data"], **data}})
    other = next((key for key in Recipe.model_fields if getattr(said, key) != getattr(recipe, key)), None)
    if other:
        raise UsageError(
            f"--resume goes on with the recipe of the run, in which {other!r} is another; leave that out, or begin a new run.",
            code="other_run",
        )
    return recipe


def _record(done: Published) -> dict[str, object]:
    version = as_trained(done)
    fit, probe = fit_of(version), probe_behind(version)
    recipe = version.provenance.recipe if version.provenance else {}
    return {
        "name": version.adapter,
        **version.brief(),
        "created": done.created,
        "train_loss": fit.train_loss if fit else _value(version.metric("loss", "train")),
        "eval_loss": fit.eval_loss if fit else _value(version.metric("loss", "validation")),
        "perplexity": fit.perplexity if fit else None,
        "gap": fit.gap if fit else None,
        "gap_error": fit.gap_error if fit else None,
        "fit": fit.verdict if fit else None,
        "fit_reason": fit.reason if fit else None,
        "best_step": fit.best_step if fit else None,
        "parameters": version.parameters,
        "bytes": version.bytes,
        "learning_rate": recipe.get("learning_rate"),
        "learning_rate_probe": probe.to_json() if probe else None,
        "wall_seconds": version.provenance.wall_seconds if version.provenance else None,
    }


def _value(metric: Metric | None) -> float | None:
    return None if metric is None else metric.value


def _table(published: tuple[Published, ...]) -> Table:
    rows = table("version", ">rank", ">train loss", ">eval loss", ">gap", "fit", ">parameters", ">size", ">seconds")
    for done in published:
        record = _record(done)
        numbers = [record["train_loss"], record["eval_loss"], record["gap"]]
        rows.add_row(
            done.version.reference,
            str(done.version.rank),
            *("-" if number is None else f"{number:.4f}" for number in numbers),
            str(record["fit"] or "-"),
            f"{done.version.parameters:,}",
            size(done.version.bytes),
            str(record["wall_seconds"] or "-"),
        )
    return rows
