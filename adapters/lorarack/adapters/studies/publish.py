"""The family of a study as versions, with where each came from."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from lorarack.adapters.studies.records import RunRecord, StudyFolder
from lorarack.adapters.training.inputs import RECIPE_TAG, Inputs
from lorarack.adapters.training.provenance import provenance
from lorarack.registry.errors import InvalidArtifact
from lorarack.registry.interface import Registry
from lorarack.registry.values import Parent, Version

STUDY_TAG = "study"
_RELATIONS = {"truncated": "resized", "recovered": "recovered", "warm": "continued"}


def publish_family(
    registry: Registry, inputs: Inputs, name: str, runs: Sequence[RunRecord], folder: StudyFolder
) -> dict[str, Version]:
    """The versions by key of those runs that have weights; what was published before is found again by its digest.

    Raises:
        Conflict: the adapter belongs to another base by now.
        InvalidArtifact: weights that are too large, as of a rate that is too high.
        StoreError: disk or database.
    """
    made: dict[str, Version] = {}
    waiting = [run for run in runs if run.weights]
    while waiting:
        ready = [run for run in waiting if run.parent is None or run.parent in made]
        for run in ready or waiting:  # a parent may be no part of the family
            made[run.key] = _publish(registry, inputs, name, run, folder, made)
        waiting = [run for run in waiting if run.key not in made]
    return made


def _publish(
    registry: Registry, inputs: Inputs, name: str, run: RunRecord, folder: StudyFolder, made: dict[str, Version]
) -> Version:
    parent = made.get(run.parent or "")
    origin = provenance(inputs, run.rank, run.fit, run.seconds, run.reference)
    how = {"name": name, "source": run.source, "steps": run.steps, "learning_rate": run.rate}
    tags = {STUDY_TAG: name}
    if run.source == "trained" and run.rate == inputs.recipe.learning_rate and not run.given_up:
        tags[RECIPE_TAG] = inputs.family
    with _named(run):
        return registry.publish(
            folder.weights(run.key),
            inputs.recipe.name,
            base=inputs.base.name,
            metrics=run.metrics,
            tags=tags,
            provenance=origin.model_copy(
                update={
                    "recipe": {**origin.recipe, "study": how, "learning_rate": run.rate, "max_steps": run.steps or None}
                }
            ),
            parents=[Parent(version=parent.reference, relation=_RELATIONS[run.source])] if parent else [],
        ).version


@contextmanager
def _named(run: RunRecord) -> Iterator[None]:
    """Weights that cannot be published are of a run, and its folder says nothing to anybody."""
    try:
        yield
    except InvalidArtifact as error:
        subject = f"Rank {run.rank}, trained at a learning rate of {run.rate:.3g},"
        problems = [f"{problem}; a lower learning_rate may help" for problem in error.problems]
        raise InvalidArtifact(problems, subject=subject) from error
