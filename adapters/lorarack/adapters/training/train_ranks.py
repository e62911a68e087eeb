"""Train what is missing of a rank family, rank after rank on one base in memory, and publish each."""

import shlex
import tempfile
from contextlib import nullcontext
from pathlib import Path

from lorarack.adapters.training.inputs import RECIPE_TAG, Inputs
from lorarack.adapters.training.loaded_base import LoadedBase
from lorarack.adapters.training.model import load_end, load_tokenizer, use_all_cores
from lorarack.adapters.training.processes import is_first, say_about_gpus
from lorarack.adapters.training.progress import Silent, TrainingProgress
from lorarack.adapters.training.provenance import provenance, software
from lorarack.adapters.training.run_folder import RUN_TAG, RunFolder
from lorarack.adapters.training.tokens import encode_splits, with_lengths
from lorarack.adapters.training.train_rank import train_rank
from lorarack.registry.errors import EngineError
from lorarack.registry.registry import Registry
from lorarack.registry.values import Published


def train_ranks(
    inputs: Inputs, ranks: list[int], registry: Registry, progress: TrainingProgress, run: RunFolder | Path | None
) -> dict[int, Published]:
    """A version for each of ``ranks``; checkpoints go to ``run``: one that is taken up, or where a new one is to begin.

    Raises:
        UsageError: the rows do not fit the base.
        Conflict: the run's folder holds something else, or another process works in it.
        EngineError: training failed.
    """
    use_all_cores()
    tokenizer = load_tokenizer(inputs.base)
    end = load_end(inputs.base, tokenizer)
    tokens = encode_splits(inputs, tokenizer, end)
    progress.data(with_lengths(inputs, tokens))
    for note in (end.note, say_about_gpus()):
        if note:
            progress.note(note)
    if not is_first():
        run, progress = None, Silent()
    if isinstance(run, Path):
        run = RunFolder.create(run, inputs.recipe)
        run.keep_facts({"family": inputs.family, "software": software()})
        progress.note(f"If it is stopped, it goes on with: lorarack train --resume {shlex.quote(str(run.path))}")
    base = LoadedBase(inputs, tokens)
    made = {}
    with run.alone() if run else nullcontext():
        for rank in ranks:
            found = _train(base, rank, registry, progress, run)
            if found:
                made[rank] = found
    return made


def _train(
    base: LoadedBase, rank: int, registry: Registry, progress: TrainingProgress, run: RunFolder | None
) -> Published | None:
    inputs = base.inputs
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
        published = registry.publish(
            folder,
            inputs.recipe.name,
            base=inputs.base.name,
            metrics=outcome.metrics,
            tags={RECIPE_TAG: inputs.family, **({RUN_TAG: run.id} if run else {})},
            provenance=provenance(inputs, rank, outcome.fit, outcome.wall_seconds),
        )
    if run:
        run.mark_published(rank, published.version.reference)
    return published
