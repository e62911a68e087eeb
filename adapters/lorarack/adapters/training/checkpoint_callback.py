"""The callback that writes checkpoints into a run's folder, and goes on from one."""

import time
from typing import Any

from transformers.trainer_callback import TrainerCallback

from lorarack.adapters.training.best_checkpoint import BestCheckpointCallback
from lorarack.adapters.training.checkpoint import Checkpoint, save_checkpoint
from lorarack.adapters.training.plan import Plan
from lorarack.adapters.training.run_folder import RunFolder

#: A checkpoint is written at every validation, and where these are rare at the next logged step after so many seconds.
_SECONDS = 60.0


class CheckpointCallback(TrainerCallback):
    """Writes between two steps, after all that a step logs: a run that goes on from there logs the same."""

    def __init__(
        self, run: RunFolder, rank: int, plan: Plan, best: BestCheckpointCallback, scaler: Any, start: Checkpoint | None
    ) -> None:
        self._run, self._rank, self._plan, self._best, self._scaler = run, rank, plan, best, scaler
        self._start = start
        self._written = time.monotonic()

    def on_train_begin(
        self, args: Any, state: Any, control: Any, optimizer: Any = None, lr_scheduler: Any = None, **_: Any
    ) -> None:
        """The Trainer has put the weights and its own state back; here comes the rest."""
        if self._start is not None:
            self._start.load_optimizer(optimizer, lr_scheduler, self._scaler)

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """What was drawn while the run was set up does not count."""
        if self._start is not None:
            self._start.load_random()
            self._start = None

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **more: Any) -> None:
        """A line of the curves; a checkpoint where the last one is old."""
        logs = logs or {}
        kept: dict[str, Any] = {
            key: logs[key] for key in ("loss", "eval_loss", "train_slice_loss", "learning_rate") if key in logs
        }
        self._run.log({"rank": self._rank, "step": state.global_step, **kept})
        old = time.monotonic() - self._written > _SECONDS
        if "loss" in logs and old and not self._plan.validates_at(state.global_step):
            self._save(state, **more)

    def on_evaluate(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """A checkpoint, the best weights in it."""
        self._save(state, **more)

    def _save(self, state: Any, model: Any, optimizer: Any, lr_scheduler: Any, **_: Any) -> None:
        self._run.write_checkpoint(
            self._rank,
            state.global_step,
            lambda folder: save_checkpoint(
                folder, model, state, optimizer, lr_scheduler, self._scaler, self._best.saved()
            ),
        )
        self._written = time.monotonic()
