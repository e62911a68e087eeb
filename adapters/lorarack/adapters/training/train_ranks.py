"""Train what is missing of a rank family, rank after rank on one base in memory, and publish each."""

import shlex
import tempfile
from contextlib import nullcontext
from pathlib import Path

from lorarack.adapters.training.inputs import RECIPE_TAG, Inputs
from lorarack.adapters.training.learning_rate import PROBE_KEY
from lorarack.adapters.training.loaded_base import LoadedBase, open_base
from lorarack.adapters.training.processes import is_first, say_about_gpus
from lorarack.adapters.training.progress import TrainingProgress
from lorarack.adapters.training.provenance import provenance, software
from lorarack.adapters.training.rate_probe import probe_rate
from lorarack.adapters.training.run_folder import RUN_TAG, RunFolder
from lorarack.adapters.training.train_rank import Outcome, train_rank
from lorarack.adapters.training.trained import Trained
from lorarack.registry.errors import EngineError, InvalidArtifact
from lorarack.registry.interface import Registry
from lorarack.registry.values import Published


def train_ranks(
    inputs: Inputs, ranks: list[int], registry: Registry, progress: TrainingProgress, run: RunFolder | Path | None
) -> dict[int, Published]:
    """A version for each of ``ranks``; checkpoints go to ``run``: one that is taken up, or where a new one is to begin.

    Raises:
        UsageError: the rows do not fit the base.
        Conflict: the run's folder holds something else, or another process works in it.
        EngineError: training failed.
        InvalidArtifact: what was trained cannot be served.
    """
    if not is_first():
        run = None
    base = open_base(inputs, progress)
    if note := say_about_gpus():
        progress.note(note)
    if isinstance(run, Path):
        run = RunFolder.create(run, inputs.recipe)
        run.keep_facts({"family": inputs.family, "software": software()})
        progress.note(f"If it is stopped, it goes on with: lorarack train --resume {shlex.quote(str(run.path))}")
    made = {}
    with run.alone() if run else nullcontext():
        if inputs.recipe.learning_rate == "auto":
            inputs = _with_rate(base, inputs, max(ranks), progress, run)
        for rank in ranks:
            found = _train(base, inputs, rank, registry, progress, run)
            if found:
                made[rank] = found
    return made


def _with_rate(
    base: LoadedBase, inputs: Inputs, rank: int, progress: TrainingProgress, run: RunFolder | None
) -> Inputs:
    """The learning rate is chosen once for all ranks and recorded, so that a resumed run uses the same."""
    probe = probe_rate(base, inputs.recipe, rank, progress)
    progress.note(f"Learning rate {probe.rate:g}: {probe.reason}.")
    if run:
        run.keep_facts({**run.facts, PROBE_KEY: probe.to_json()})
    return inputs.at_rate(probe)


def _train(
    base: LoadedBase, inputs: Inputs, rank: int, registry: Registry, progress: TrainingProgress, run: RunFolder | None
) -> Published | None:
    with tempfile.TemporaryDirectory(prefix="lorarack-train-") as workspace:
        folder = Path(workspace)
        try:
            outcome = train_rank(base, inputs.recipe, rank, folder, progress, run=run)
        except EngineError as error:
            if run and error.code == "diverged":  # it would diverge again
                run.drop_checkpoints()
            raise
        if not is_first():
            return None
        published = _publish(folder, inputs, rank, outcome, registry, run)
    if run:
        run.mark_published(rank, published.version.reference)
    return published


def _publish(
    folder: Path, inputs: Inputs, rank: int, outcome: Outcome, registry: Registry, run: RunFolder | None
) -> Trained:
    origin = provenance(inputs, rank, outcome.fit, outcome.wall_seconds, outcome.reference)
    try:
        published = registry.publish(
            folder,
            inputs.recipe.name,
            base=inputs.base.name,
            metrics=outcome.metrics,
            tags={RECIPE_TAG: inputs.family, **({RUN_TAG: run.id} if run else {})},
            provenance=origin,
        )
    except InvalidArtifact as error:
        raise _unfit(rank, error) from error
    return Trained(version=published.version, created=published.created, notes=published.notes, origin=origin)


def _unfit(rank: int, error: InvalidArtifact) -> InvalidArtifact:
    """Weights that grew out of all bounds are the learning rate's doing; the folder is gone by the time this is read."""
    found = error.problems[0].rstrip(".")
    return InvalidArtifact(
        [f"{found}; lower learning_rate, and train again."], subject=f"What was trained at rank {rank}", code=error.code
    )
