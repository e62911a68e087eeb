"""transformers' Trainer with lorarack's loss and validation."""

from functools import partial
from typing import Any

import torch
from torch.optim.lr_scheduler import LambdaLR
from transformers import Trainer, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from lorarack.adapters.recipe import Recipe
from lorarack.adapters.training.best_checkpoint import BestCheckpointCallback
from lorarack.adapters.training.loaded_base import LoadedBase
from lorarack.adapters.training.loss import Batch, Collator, completion_loss
from lorarack.adapters.training.plan import Plan, rate_at


class CompletionTrainer(Trainer):
    """Trains on completions; validates with every token counting the same, whatever the batches are."""

    def __init__(
        self,
        model: Any,
        recipe: Recipe,
        plan: Plan,
        base: LoadedBase,
        callback: BestCheckpointCallback,
        workspace: str,
    ) -> None:
        super().__init__(
            model=model,
            args=_arguments(recipe, plan, workspace),
            data_collator=Collator(base.pad),
            train_dataset=[row.features() for row in base.tokens.train],
            callbacks=[callback],
        )
        self.remove_callback(PrinterCallback)
        self.model_accepts_loss_kwargs = True  # compute_loss divides by num_items_in_batch itself
        self._base = base
        self._best = callback
        self._rate = partial(rate_at, plan=plan, schedule=recipe.schedule)

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """The recipe's schedule."""
        if getattr(self, "lr_scheduler", None) is None:
            self.lr_scheduler: Any = LambdaLR(optimizer or self.optimizer, self._rate)
        return self.lr_scheduler

    def compute_loss(
        self, model: Any, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Mean loss of a completion token over the whole step, accumulated batches included."""
        total, count = completion_loss(model, inputs)
        loss = total / (num_items_in_batch if num_items_in_batch is not None else count)
        return (loss, {}) if return_outputs else loss

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Losses on the validation rows and on the slice of training rows, told to the callbacks."""
        found = self._base.measure(self.model, self.state.global_step)
        self._best.add(found)
        metrics = {"eval_loss": found.validation.mean, "train_slice_loss": found.train.mean}
        self.log(metrics)
        self.control: Any = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics


def _arguments(recipe: Recipe, plan: Plan, workspace: str) -> TrainingArguments:
    return TrainingArguments(
        output_dir=workspace,
        per_device_train_batch_size=recipe.batch_size,
        gradient_accumulation_steps=recipe.gradient_accumulation,
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        max_grad_norm=recipe.max_grad_norm,
        max_steps=plan.steps,
        train_sampling_strategy="group_by_length",
        seed=recipe.seed,
        data_seed=recipe.seed,
        logging_strategy="steps",
        logging_steps=plan.log_every,
        logging_nan_inf_filter=False,
        eval_strategy="no",  # the callback asks for validations, the last step's included
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        bf16=recipe.dtype == "bfloat16",  # float32 adapter weights, multiplied in bfloat16: a third faster on a CPU
        use_cpu=not torch.cuda.is_available(),
    )
