"""From a recipe to published versions."""

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from lorarack.adapters.recipe import Recipe
from lorarack.adapters.silence_libraries import silence_libraries
from lorarack.adapters.training.inputs import RECIPE_TAG, Inputs, read_inputs
from lorarack.adapters.training.learning_rate import RateProbe, probe_behind, probe_of
from lorarack.adapters.training.processes import is_first
from lorarack.adapters.training.progress import Silent, TrainingProgress
from lorarack.adapters.training.run_folder import RUN_TAG, RunFolder, check_same_run
from lorarack.adapters.training.served import check_packages
from lorarack.registry.errors import NotFound, UsageError
from lorarack.registry.interface import Registry
from lorarack.registry.values import Published, State, Version


def train(
    recipe: Recipe,
    registry: Registry,
    progress: TrainingProgress | None = None,
    *,
    reuse: bool = False,
    run: Path | None = None,
    resume: bool = False,
) -> tuple[Published, ...]:
    """Train the adapter at every rank of the recipe and publish a version for each.

    Of several processes that accelerate started, the first one publishes; the others return nothing.

    Args:
        recipe: what to train.
        registry: where the base is known and the versions go.
        progress: hears about steps and validations.
        reuse: return a version that the same recipe made earlier (same base, rows, settings, rank and alpha) instead of
            training it again.
        run: a folder for checkpoints, with which the run can be taken up again; None: it cannot.
        resume: take up the run in that folder.

    Raises:
        NotFound, Conflict, UsageError: as ``read_inputs`` and ``RunFolder``; nothing was begun.
        EngineError: training failed. The ranks before it are published, of this one nothing is.
    """
    progress = progress if progress and is_first() else Silent()
    kept = RunFolder.open(run) if run is not None and resume else None
    inputs = read_inputs(recipe, registry)
    if kept is not None:
        check_same_run(kept, inputs, progress)
    made = {rank: _earlier(inputs, rank, registry, kept, reuse=reuse) for rank in recipe.ranks}
    missing = [rank for rank, found in made.items() if found is None]
    for text in inputs.notes:
        progress.note(text)
    if not missing:
        progress.data(inputs.reports)
    else:
        need_packages()
        check_packages(inputs.recipe)
        with silence_libraries():
            from lorarack.adapters.training.train_ranks import train_ranks

            if recipe.learning_rate == "auto" and (probe := _known_probe(kept, made.values())):
                inputs = inputs.at_rate(probe)
            made |= train_ranks(inputs, missing, registry, progress, kept or run)
    return tuple(found for found in made.values() if found is not None)


def _known_probe(run: RunFolder | None, made: Iterable[Published | None]) -> RateProbe | None:
    """What an earlier session of the run chose, or what is behind versions that are used again: one rate for a family."""
    found = probe_of(run.facts) if run else None
    return found or next((known for done in made if done and (known := probe_behind(done.version))), None)


def need_packages() -> None:
    """Refuse to begin without the packages of training.

    Raises:
        UsageError: with the way out.
    """
    missing = [name for name in ("torch", "transformers", "peft", "accelerate") if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"Training needs the package {missing[0]!r}; install it with: pip install 'lorarack[train]'.",
            code="not_installed",
        )


def _earlier(inputs: Inputs, rank: int, registry: Registry, run: RunFolder | None, *, reuse: bool) -> Published | None:
    """The version that this run has published at ``rank``; with ``reuse`` also the newest that its recipe made."""
    try:
        versions = registry.versions(inputs.recipe.name)
    except NotFound:
        return None
    alpha = inputs.recipe.alpha_of(rank)
    same = [version for version in reversed(versions) if version.rank == rank and version.state is State.READY]
    if run is not None and (mine := next((version for version in same if version.tags.get(RUN_TAG) == run.id), None)):
        return _as_it_was(mine, "this run")
    family = (found for found in same if found.tags.get(RECIPE_TAG) == inputs.family and found.alpha == alpha)
    version = next(family, None) if reuse else None
    return _as_it_was(version, "this recipe") if version else None


def _as_it_was(version: Version, what: str) -> Published:
    return Published(version=version, created=False, notes=(f"{version.reference} was trained by {what} earlier.",))
