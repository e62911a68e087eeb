"""transformers' Trainer with lorarack's loss and validation."""

from functools import partial
from typing import Any

import torch
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader
from transformers import Trainer, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from lorarack.adapters.recipe import Recipe
from lorarack.adapters.training.batch_order import BatchOrder
from lorarack.adapters.training.best_checkpoint import BestCheckpointCallback
from lorarack.adapters.training.loaded_base import LoadedBase
from lorarack.adapters.training.loss import Batch, Collator, PackedCollator, completion_loss
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
            data_collator=PackedCollator() if recipe.packing else Collator(base.pad),
            train_dataset=[row.features() for row in base.tokens.train],
            callbacks=[callback],
        )
        self.remove_callback(PrinterCallback)
        self.model_accepts_loss_kwargs = True  # compute_loss divides by num_items_in_batch itself
        self._base = base
        self._best = callback
        self._rate = partial(rate_at, plan=plan, schedule=recipe.schedule)
        lengths = [len(row) for row in base.tokens.train]
        self._order = BatchOrder(lengths, recipe.batch_size, recipe.gradient_accumulation, recipe.seed)

    def get_train_dataloader(self) -> Any:
        """The rows in the run's own order, which no other random number moves."""
        loader = DataLoader(
            self.train_dataset,
            batch_sampler=self._order,
            collate_fn=self.data_collator,
            generator=torch.Generator(),  # else each epoch would draw from what dropout draws from
        )
        return self.accelerator.prepare(loader)

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
        self._best.tokens += inputs["input_ids"].numel()
        # Of several processes each has its part of the step's tokens, and the mean over processes is taken afterwards.
        whole = count if num_items_in_batch is None else num_items_in_batch / self.accelerator.num_processes
        loss = total / whole
        return (loss, {}) if return_outputs else loss

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Losses on the validation rows and on the slice of training rows, passed to the callbacks."""
        found = self._base.measure(self.model, self.state.global_step)
        self._best.add(found)
        metrics = {"eval_loss": found.validation.mean, "train_slice_loss": found.train.mean}
        self.log(metrics)
        self.control: Any = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics


def _arguments(recipe: Recipe, plan: Plan, workspace: str) -> TrainingArguments:
    arguments = TrainingArguments(
        output_dir=workspace,
        per_device_train_batch_size=recipe.batch_size,
        gradient_accumulation_steps=recipe.gradient_accumulation,
        learning_rate=recipe.peak_rate,
        weight_decay=recipe.weight_decay,
        max_grad_norm=recipe.max_grad_norm,
        max_steps=plan.steps,
        seed=recipe.seed,
        data_seed=recipe.seed,
        logging_strategy="steps",
        logging_steps=plan.log_every,
        logging_nan_inf_filter=False,
        eval_strategy="no",  # the callback asks for validations, the last step's included
        save_strategy="no",
        report_to=list(recipe.report_to) or "none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        bf16=recipe.dtype == "bfloat16",  # float32 adapter weights, multiplied in bfloat16: a third faster on a CPU
        fp16=recipe.dtype == "float16",
        use_cpu=not torch.cuda.is_available(),
    )
    if (
        arguments.n_gpu > 1
    ):  # else the Trainer would split each batch by DataParallel, which is slow and computes other means
        arguments._n_gpu = 1
    return arguments
