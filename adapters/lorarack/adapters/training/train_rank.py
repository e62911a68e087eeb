"""Train one adapter at one rank into a folder."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import set_seed

from lorarack.adapters.training.best_checkpoint import BestCheckpointCallback
from lorarack.adapters.training.inputs import Inputs
from lorarack.adapters.training.model import add_adapter, check_dtype, first_line, load_model, pad_id
from lorarack.adapters.training.plan import make_plan
from lorarack.adapters.training.progress import TrainingProgress
from lorarack.adapters.training.tokens import Tokens
from lorarack.adapters.training.trainer import CompletionTrainer
from lorarack.registry.errors import EngineError, LorarackError
from lorarack.registry.values import Metric


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run measured."""

    metrics: tuple[Metric, ...]
    best_step: int
    wall_seconds: float


def train_rank(inputs: Inputs, tokens: Tokens, rank: int, folder: Path, progress: TrainingProgress) -> Outcome:
    """Train at ``rank`` and leave the best checkpoint in ``folder`` as a PEFT folder.

    Raises:
        EngineError: the loss diverged, memory ran out, or the base cannot be loaded.
        UsageError: the accelerator does not compute in the recipe's dtype.
    """
    started = time.monotonic()
    recipe = inputs.recipe
    check_dtype(recipe.dtype)
    plan = make_plan(recipe, len(tokens.train))
    set_seed(recipe.seed)
    with _faults(rank):
        model = add_adapter(load_model(inputs.base, recipe.dtype), recipe, rank, inputs.base.public_id)
        callback = BestCheckpointCallback(model, plan, recipe.patience, progress)
        trainer = CompletionTrainer(
            model, recipe, plan, pad_id(tokens.tokenizer), tokens.train, tokens.validation, callback, str(folder)
        )
        progress.begin(f"{recipe.name} rank {rank}", plan.steps)
        try:
            trainer.train()
        finally:
            progress.end()
        callback.restore_best()
        model.save_pretrained(folder, save_embedding_layers=False)
        (folder / "README.md").unlink(missing_ok=True)  # PEFT's empty model card; lorarack fills one when it pushes
    digests = inputs.train.digest, inputs.validation.digest
    finals = (
        Metric(name="loss", split="train", value=callback.train_loss(), dataset=digests[0]),
        Metric(name="loss", split="validation", value=callback.eval_loss(), dataset=digests[1]),
    )
    return Outcome((*callback.curves(*digests), *finals), callback.best_step, time.monotonic() - started)


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
