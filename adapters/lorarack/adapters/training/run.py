"""From a recipe to published versions."""

import tempfile
from importlib.util import find_spec
from pathlib import Path

from lorarack.adapters.recipe import Recipe
from lorarack.adapters.silence_libraries import silence_libraries
from lorarack.adapters.training.inputs import Inputs, read_inputs
from lorarack.adapters.training.progress import Silent, TrainingProgress
from lorarack.registry.errors import NotFound, UsageError
from lorarack.registry.interface import Registry
from lorarack.registry.values import Published, State, Version

#: The tag under which a version says which rank family it belongs to.
RECIPE_TAG = "recipe"


def train(
    recipe: Recipe, registry: Registry, progress: TrainingProgress | None = None, *, reuse: bool = False
) -> tuple[Published, ...]:
    """Train the adapter at every rank of the recipe and publish a version for each.

    Args:
        recipe: what to train.
        registry: where the base is known and the versions go.
        progress: hears about steps and validations.
        reuse: return a version that the same recipe made earlier (same base, rows, settings, rank and alpha) instead of
            training it again.

    Raises:
        NotFound, Conflict, UsageError: as ``read_inputs``; nothing was begun.
        EngineError: training failed. The ranks before it are published, of this one nothing is.
    """
    progress = progress or Silent()
    inputs = read_inputs(recipe, registry)
    found = {rank: _earlier(inputs, rank, registry) if reuse else None for rank in recipe.ranks}
    missing = [rank for rank in recipe.ranks if found[rank] is None]
    for text in inputs.notes:
        progress.note(text)
    if not missing:
        progress.data(inputs.reports)
    made = _train_ranks(inputs, missing, registry, progress) if missing else {}
    return tuple(made[rank] if rank in made else _as_it_was(found[rank]) for rank in recipe.ranks)


def _train_ranks(
    inputs: Inputs, ranks: list[int], registry: Registry, progress: TrainingProgress
) -> dict[int, Published]:
    need_packages()
    with silence_libraries():
        from lorarack.adapters.training.loaded_base import open_base
        from lorarack.adapters.training.provenance import provenance
        from lorarack.adapters.training.train_rank import train_rank

        base = open_base(inputs, progress)
        made: dict[int, Published] = {}
        for rank in ranks:
            with tempfile.TemporaryDirectory(prefix="lorarack-train-") as workspace:
                folder = Path(workspace)
                outcome = train_rank(base, inputs.recipe, rank, folder, progress)
                made[rank] = registry.publish(
                    folder,
                    inputs.recipe.name,
                    base=inputs.base.name,
                    metrics=outcome.metrics,
                    tags={RECIPE_TAG: inputs.family},
                    provenance=provenance(inputs, rank, outcome.fit, outcome.wall_seconds),
                )
        return made


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


def _earlier(inputs: Inputs, rank: int, registry: Registry) -> Version | None:
    """The newest ready version that this recipe made at ``rank``."""
    try:
        versions = registry.versions(inputs.recipe.name)
    except NotFound:
        return None
    alpha = inputs.recipe.alpha_of(rank)
    same = (
        version
        for version in reversed(versions)
        if version.tags.get(RECIPE_TAG) == inputs.family and version.rank == rank and version.alpha == alpha
    )
    return next((version for version in same if version.state is State.READY), None)


def _as_it_was(version: Version | None) -> Published:
    if version is None:
        raise AssertionError("a rank was neither trained nor found")
    return Published(
        version=version, created=False, notes=(f"{version.reference} was trained by this recipe earlier.",)
    )
