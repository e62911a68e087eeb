"""Train one adapter at one rank into a folder."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from peft import set_peft_model_state_dict
from transformers import set_seed

from lorarack.adapters.ranks.weights import Factors, tensors_of
from lorarack.adapters.recipe import Recipe
from lorarack.adapters.training.best_checkpoint import BestCheckpointCallback
from lorarack.adapters.training.fit import Fit, Validation, final_metrics, judge
from lorarack.adapters.training.loaded_base import LoadedBase
from lorarack.adapters.training.model import check_dtype, first_line
from lorarack.adapters.training.plan import make_plan, rate_spent
from lorarack.adapters.training.progress import TrainingProgress
from lorarack.adapters.training.trainer import CompletionTrainer
from lorarack.registry.errors import EngineError, LorarackError
from lorarack.registry.values import Metric


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run measured: its metrics, how it went, and the losses row by row at the best step."""

    metrics: tuple[Metric, ...]
    fit: Fit
    best: Validation
    wall_seconds: float


def train_rank(
    base: LoadedBase,
    recipe: Recipe,
    rank: int,
    folder: Path,
    progress: TrainingProgress,
    start: Mapping[str, Factors] | None = None,
    give_up: Callable[[Validation], bool] | None = None,
) -> Outcome:
    """Train at ``rank`` and leave the best checkpoint in ``folder`` as a PEFT folder.

    Args:
        base: what is trained on, and the rows.
        recipe: how.
        rank: of the adapter.
        folder: where it goes.
        progress: hears about steps and validations.
        start: where the adapter begins; without it A is random and B zero.
        give_up: asked after each validation whether to go no further.

    Raises:
        EngineError: the loss diverged, memory ran out, or the base cannot be loaded.
        UsageError: the accelerator does not compute in the recipe's dtype.
    """
    started = time.monotonic()
    check_dtype(recipe.dtype)
    plan = make_plan(recipe, len(base.tokens.train))
    with _faults(rank):
        alone = base.alone
        set_seed(recipe.seed)
        model = base.with_adapter(recipe, rank)
        if start is not None:
            set_peft_model_state_dict(model, tensors_of(start))
        callback = BestCheckpointCallback(model, plan, recipe.patience, progress, alone, give_up)
        trainer = CompletionTrainer(model, recipe, plan, base, callback, str(folder))
        progress.begin(f"{recipe.name} rank {rank}", plan.steps)
        try:
            trainer.train()
        finally:
            progress.end()
        callback.restore_best()
        model.save_pretrained(folder, save_embedding_layers=False)
        (folder / "README.md").unlink(missing_ok=True)  # PEFT's empty model card; lorarack fills one when it pushes
        base.take_off(model)
    fit = judge(callback.validations, partial(rate_spent, plan=plan, schedule=recipe.schedule))
    digests = base.inputs.train.digest, base.inputs.validation.digest
    metrics = (*callback.curves(*digests), *final_metrics(fit, *digests))
    return Outcome(metrics, fit, callback.best, time.monotonic() - started)


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
