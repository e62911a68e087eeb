"""Train one adapter at one rank into a folder."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from peft import set_peft_model_state_dict
from transformers import set_seed

from lorarack.adapters.ranks.weights import Factors, tensors_of
from lorarack.adapters.recipe import Recipe
from lorarack.adapters.training.best_checkpoint import BestCheckpointCallback
from lorarack.adapters.training.checkpoint import Checkpoint, readable
from lorarack.adapters.training.checkpoint_callback import CheckpointCallback
from lorarack.adapters.training.fit import Fit, Validation, final_metrics, judge
from lorarack.adapters.training.loaded_base import LoadedBase
from lorarack.adapters.training.model import check_dtype, first_line
from lorarack.adapters.training.packing import check_packing
from lorarack.adapters.training.plan import Plan, make_plan, rate_spent
from lorarack.adapters.training.processes import process_count
from lorarack.adapters.training.progress import TrainingProgress
from lorarack.adapters.training.reference import reference_logprobs
from lorarack.adapters.training.run_folder import RunFolder
from lorarack.adapters.training.trainer import CompletionTrainer
from lorarack.registry.errors import EngineError, LorarackError
from lorarack.registry.reference_logprobs import ReferenceLogprobs
from lorarack.registry.values import Metric


@dataclass(frozen=True, slots=True)
class Start:
    """A trained adapter that a run begins with, and what was measured of it."""

    factors: Mapping[str, Factors]
    measured: Validation


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run measured: its metrics, its course, the losses per row at the best step, log probabilities of fixed texts."""

    metrics: tuple[Metric, ...]
    fit: Fit
    best: Validation
    wall_seconds: float
    reference: ReferenceLogprobs


def train_rank(
    base: LoadedBase,
    recipe: Recipe,
    rank: int,
    folder: Path,
    progress: TrainingProgress,
    start: Start | None = None,
    give_up: Callable[[Validation], bool] | None = None,
    run: RunFolder | None = None,
) -> Outcome:
    """Train at ``rank`` and leave the best checkpoint in ``folder`` as a PEFT folder.

    Args:
        base: what is trained on, and the rows.
        recipe: how.
        rank: of the adapter.
        folder: where it goes.
        progress: hears about steps and validations.
        start: where the adapter begins, and what stays where no step makes it better; without it A is random and B zero.
        give_up: asked after each validation whether to go no further.
        run: where checkpoints are written; training goes on from the newest that is there.

    Raises:
        EngineError: the loss diverged, memory ran out, or the base cannot be loaded.
        UsageError: the accelerator does not compute in the recipe's dtype.
    """
    started = time.monotonic()
    with trained(base, recipe, rank, folder, progress, start, give_up, run) as (model, callback):
        reference = reference_logprobs(model, base.tokens.tokenizer, recipe.dtype)
        model.save_pretrained(folder, save_embedding_layers=False)
        (folder / "README.md").unlink(missing_ok=True)  # PEFT's empty model card; lorarack fills one when it pushes
    fit = judge(callback.validations, partial(rate_spent, plan=callback.plan, schedule=recipe.schedule))
    digests = base.inputs.train.digest, base.inputs.validation.digest
    metrics = (*callback.curves(*digests), *final_metrics(fit, *digests))
    return Outcome(metrics, fit, callback.best, time.monotonic() - started, reference)


@contextmanager
def trained(
    base: LoadedBase,
    recipe: Recipe,
    rank: int,
    folder: Path,
    progress: TrainingProgress,
    start: Start | None = None,
    give_up: Callable[[Validation], bool] | None = None,
    run: RunFolder | None = None,
) -> Iterator[tuple[Any, BestCheckpointCallback]]:
    """The base with an adapter trained as ``train_rank`` says, at its best checkpoint, and what was measured."""
    check_dtype(recipe.dtype)
    plan = make_plan(recipe, len(base.tokens.train), process_count())
    with _faults(rank):
        alone = base.alone
        set_seed(recipe.seed)
        model = base.with_adapter(recipe, rank)
        try:
            if start is not None:
                set_peft_model_state_dict(model, tensors_of(start.factors))
            measured = start.measured if start else None
            callback = BestCheckpointCallback(model, plan, recipe.patience, progress, alone, give_up, measured)
            trainer = CompletionTrainer(model, recipe, plan, base, callback, str(folder))
            if recipe.packing:
                check_packing(model, base.tokens.train, base.pad)
            checkpoint = _go_on(trainer, callback, plan, run, rank)
            progress.begin(f"{recipe.name} rank {rank}", plan.steps)
            try:
                if not callback.finished:
                    trainer.train(resume_from_checkpoint=checkpoint)
            finally:
                progress.end()
            callback.restore_best()
            yield model, callback
        finally:
            base.take_off(model)


def _go_on(
    trainer: CompletionTrainer, best: BestCheckpointCallback, plan: Plan, run: RunFolder | None, rank: int
) -> str | None:
    """Have checkpoints written; the folder of the one to go on from."""
    if run is None:
        return None
    newest = run.checkpoint(rank)
    start = Checkpoint(newest) if newest is not None else None
    if start is not None:
        with readable(start.folder):
            best.restore(*start.more)
        run.rewind_log(rank, start.step)
    trainer.add_callback(CheckpointCallback(run, rank, plan, best, trainer.accelerator.scaler, start))
    return None if newest is None else str(newest)


@contextmanager
def _faults(rank: int) -> Iterator[None]:
    """Torch's errors as sentences."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise EngineError(
            f"There is not enough memory to train at rank {rank}; lower batch_size or max_length, "
            "and raise gradient_accumulation to keep the step as large.",
            code="no_memory",
        ) from error
    except LorarackError:
        raise
    except Exception as error:  # torch, transformers and PEFT raise every kind, also for what a device cannot do
        raise EngineError(f"Training at rank {rank} failed: {first_line(error)}", code="training") from error
