"""The callback over a run: curves, the best checkpoint, early stopping, divergence."""

import math
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from peft import get_peft_model_state_dict, set_peft_model_state_dict
from transformers.trainer_callback import TrainerCallback

from lorarack.adapters.training.fit import Validation
from lorarack.adapters.training.plan import Plan
from lorarack.adapters.training.progress import TrainingProgress
from lorarack.adapters.training.row_losses import RowLosses
from lorarack.registry.errors import EngineError
from lorarack.registry.values import Metric

#: The split under which the curve of the fixed slice of training rows is kept.
TRAIN_SLICE = "train_slice"


class BestCheckpointCallback(TrainerCallback):
    """Listens to the Trainer. The best adapter's weights are kept in memory: they are small, and no file can be left over."""

    def __init__(
        self,
        model: Any,
        plan: Plan,
        patience: int | None,
        progress: TrainingProgress,
        base: Validation,
        give_up: Callable[[Validation], bool] | None = None,
        start: Validation | None = None,
    ) -> None:
        """Listen to the run of a model.

        Args:
            model: with its adapter as the run begins.
            plan: of the run.
            patience: so many validations in a row without a lower loss end the run.
            progress: hears about steps and validations.
            base: what was measured of the base alone.
            give_up: asked after each validation whether to go no further.
            start: what was measured of the adapter as it is, where it is a trained one: kept if no step makes it better.
        """
        self._model = model
        self.plan = plan
        self._patience = patience
        self._progress = progress
        self._give_up = give_up
        self._losses: list[tuple[int, float]] = []
        self.validations = [base, *([start] if start else [])]
        self._best = self._weights() if start else None
        self.best_step = 0
        self.finished = False
        #: Tokens that went through the model in this process.
        self.tokens = 0

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        """Ask for a validation when the plan has one here."""
        self._progress.step(state.global_step, self._losses[-1][1] if self._losses else None, self.tokens)
        control.should_log = control.should_log or self.plan.validates_at(state.global_step)
        control.should_evaluate = self.plan.validates_at(state.global_step)
        return control

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        """Keep the training loss; stop a run whose numbers are no longer numbers."""
        logs = logs or {}
        if not math.isfinite(float(logs.get("grad_norm", 0.0))) or not math.isfinite(float(logs.get("loss", 0.0))):
            raise _diverged(state.global_step)
        if "loss" in logs:
            self._losses.append((state.global_step, float(logs["loss"])))

    def add(self, validation: Validation) -> None:
        """Take what was measured; ``on_evaluate`` follows."""
        self.validations.append(validation)

    def on_evaluate(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        """Keep the weights when they are the best so far; stop when that was too long ago."""
        losses = [found.validation.mean for found in self.validations[1:]]
        loss = losses[-1]
        if not math.isfinite(loss):
            raise _diverged(state.global_step)
        best = loss < min(losses[:-1], default=math.inf)
        if best:
            self.best_step = state.global_step
            self._best = self._weights()
        self._progress.validated(state.global_step, self._losses[-1][1] if self._losses else None, loss, best)
        since = sum(1 for found in self.validations if found.step > self.best_step)
        hopeless = self._give_up is not None and self._give_up(self.validations[-1])
        if hopeless or (self._patience is not None and since >= self._patience):
            control.should_training_stop = True
        self.finished = control.should_training_stop or state.global_step >= self.plan.steps
        return control

    def _weights(self) -> dict[str, Any]:
        weights = get_peft_model_state_dict(self._model, save_embedding_layers=False)
        return {name: tensor.detach().clone() for name, tensor in weights.items()}

    def saved(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """All that is remembered: values for JSON, and tensors."""
        values = {
            "losses": self._losses,
            "validations": [asdict(found) for found in self.validations[1:]],
            "best_step": self.best_step,
            "finished": self.finished,
        }
        return values, self._best or {}

    def restore(self, values: dict[str, Any], tensors: dict[str, Any]) -> None:
        """Go on from what ``saved`` gave."""
        self._losses = [(step, loss) for step, loss in values["losses"]]
        self.validations[1:] = [
            Validation(found["step"], *(RowLosses(**_tuples(found[part])) for part in ("train", "validation")))
            for found in values["validations"]
        ]
        self.best_step, self.finished = values["best_step"], values["finished"]
        self._best = tensors or None

    def restore_best(self) -> None:
        """Put the best weights back into the model."""
        if self._best is None:
            raise EngineError("Training ended before its first validation; run it again.", code="no_validation")
        set_peft_model_state_dict(self._model, self._best)

    @property
    def best(self) -> Validation:
        """What was measured of the weights that ``restore_best`` puts back."""
        return next(found for found in self.validations[1:] if found.step == self.best_step)

    def curves(self, train_digest: str, validation_digest: str) -> tuple[Metric, ...]:
        """The losses over steps: of the steps' own rows, of the slice of training rows, of the validation rows."""
        found = [
            Metric(name="loss", split="train", value=loss, step=step, dataset=train_digest)
            for step, loss in self._losses
        ]
        for point in self.validations[1:]:
            slice_, validation = point.train.mean, point.validation.mean
            found += [
                Metric(name="loss", split=TRAIN_SLICE, value=slice_, step=point.step, dataset=train_digest),
                Metric(name="loss", split="validation", value=validation, step=point.step, dataset=validation_digest),
            ]
        return tuple(found)


def _tuples(found: dict[str, list[Any]]) -> dict[str, tuple[Any, ...]]:
    return {key: tuple(values) for key, values in found.items()}


def _diverged(step: int) -> EngineError:
    return EngineError(
        f"Training diverged at step {step}: the loss is no longer a number; nothing was published. "
        "Lower learning_rate, or raise warmup.",
        code="diverged",
    )
