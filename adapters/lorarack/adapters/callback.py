"""A callback for anybody's Trainer, TRL's included: at the end the adapter is a version of the registry."""

import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from peft import PeftModel
from transformers.trainer_callback import TrainerCallback

from lorarack.adapters.training.provenance import hardware, software
from lorarack.adapters.training.served import config_problems
from lorarack.registry.errors import LorarackError, UsageError
from lorarack.registry.registry import open_registry
from lorarack.registry.values import Dataset, Metric, Provenance, Published

#: Settings of a Trainer that decide what is learned; none of them is a path or a secret.
_SETTINGS = (
    *("learning_rate", "num_train_epochs", "max_steps", "per_device_train_batch_size", "gradient_accumulation_steps"),
    *("lr_scheduler_type", "warmup_steps", "weight_decay", "max_grad_norm", "optim", "adam_beta1", "adam_beta2"),
    *("adam_epsilon", "seed", "data_seed", "bf16", "fp16", "gradient_checkpointing", "load_best_model_at_end"),
    *("max_length", "packing", "completion_only_loss", "assistant_only_loss"),
)


class LorarackCallback(TrainerCallback):
    """``Trainer(…, callbacks=[LorarackCallback("support", base="llama")])``; then ``callback.published`` is the version.

    What PEFT would train but vLLM does not serve is refused before the first step. The version gets the run's losses and curves,
    its settings, the software and the machine. With ``load_best_model_at_end`` it is the best checkpoint, else the last weights.

    Args:
        adapter: the adapter that the version belongs to.
        base: the base as the registry knows it; None: by the name that PEFT keeps.
        registry: the registry's folder; None: the default.
        tags: what the version is tagged with.
        metrics: further values, measured elsewhere.
        datasets: the splits, for ``compare`` to know the rows (``lorarack.adapters.data``); the Trainer does not say them.
    """

    def __init__(
        self,
        adapter: str,
        *,
        base: str | None = None,
        registry: str | None = None,
        tags: Mapping[str, str] | None = None,
        metrics: Sequence[Metric] = (),
        datasets: Sequence[Dataset] = (),
    ) -> None:
        self._adapter, self._base, self._registry = adapter, base, registry
        self._tags, self._metrics, self._datasets = dict(tags or {}), tuple(metrics), tuple(datasets)
        self._began = 0.0
        self.published: Published | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        """Refuse before the first step what could not be published after the last one.

        Raises:
            UsageError: no PEFT model, or an adapter that would not be served as it was trained.
            NotFound: the registry knows no such base.
            Conflict: the adapter belongs to another base.
        """
        self._began = time.monotonic()
        if not isinstance(model, PeftModel):
            raise UsageError(
                "LorarackCallback publishes LoRA adapters, and this model has none; wrap it with peft's get_peft_model.",
                code="no_adapter",
            )
        config = model.peft_config[model.active_adapter]
        if problems := config_problems(config.to_dict()):
            raise UsageError(f"This adapter would not be served as trained: {'; '.join(problems)}.", code="not_served")
        self._base = self._base or str(config.base_model_name_or_path)
        with open_registry(self._registry, create=False) as registry:
            registry.check_adapter(self._adapter, self._base)

    def on_train_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        """Publish what the model is now.

        Raises:
            LorarackError: it cannot be; a note names the folder in which the adapter lies.
        """
        if not state.is_world_process_zero:
            return
        folder = Path(args.output_dir) / "lorarack-adapter"
        shutil.rmtree(folder, ignore_errors=True)
        model.save_pretrained(folder, save_embedding_layers=False)
        (folder / "README.md").unlink(missing_ok=True)
        state.save_to_json(str(folder / "trainer_state.json"))
        try:
            with open_registry(self._registry, create=False) as registry:
                self.published = registry.publish(
                    folder,
                    self._adapter,
                    base=self._base or "",
                    metrics=self._metrics,
                    tags=self._tags,
                    provenance=self._provenance(args),
                )
        except LorarackError as error:
            error.add_note(f"The adapter lies in {str(folder)!r}, and 'lorarack publish' takes it.")
            raise
        shutil.rmtree(folder)

    def _provenance(self, args: Any) -> Provenance:
        said = args.to_sanitized_dict()
        return Provenance(
            recipe={key: said[key] for key in _SETTINGS if said.get(key) is not None},
            datasets=self._datasets,
            seed=args.seed,
            versions=software(),
            hardware=hardware(),
            wall_seconds=round(time.monotonic() - self._began, 1),
        )
