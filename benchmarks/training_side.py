"""One training run in a process of its own, by lorarack or by TRL: ``python -m benchmarks.training_side SIDE SPEC.json``.

Prints one line of JSON: seconds of the processor from the base's folder to a trained adapter in memory, imports not counted (with
one thread a busy machine changes them little), and of these what the steps took, without validations; the validation loss of that
adapter, both sides' measured in the same way; the most memory of the process; how many tokens were learned.
"""

import json
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lorarack.adapters.recipe import Recipe, make_recipe
from lorarack.adapters.silence_libraries import silence_libraries
from lorarack.adapters.training.inputs import Inputs, read_inputs
from lorarack.adapters.training.progress import Silent
from lorarack.registry import Registry, open_registry

Side = Literal["lorarack", "trl_tuned", "trl_defaults", "ladder", "ascend"]


@dataclass(frozen=True, slots=True)
class Spec:
    """What both sides train: files of prompt and completion, and the recipe's numbers."""

    base: str
    train: str
    validation: str
    rank: int
    steps: int
    eval_every: int
    ranks: tuple[int, ...] = ()
    batch_size: int = 8
    learning_rate: float = 1e-3
    seed: int = 0

    def recipe(self) -> Recipe:
        """The same for lorarack."""
        return make_recipe(
            {
                "name": "e2e", "base": "base", "ranks": [self.rank], "max_steps": self.steps, "eval_every": self.eval_every,
                "data": {"train": self.train, "validation": self.validation}, "batch_size": self.batch_size,
                "learning_rate": self.learning_rate, "seed": self.seed, "patience": None,
            }
        )  # fmt: skip


def main(side: Side, spec: Spec) -> dict[str, float]:
    """Run one side."""
    import torch
    import transformers  # noqa: F401  (not counted)
    from peft import LoraConfig  # noqa: F401

    with silence_libraries(), tempfile.TemporaryDirectory(prefix="lorarack-bench-") as made:
        folder = Path(made)
        with open_registry(folder / "registry") as registry:
            registry.add_base(spec.base, "base")
            inputs = read_inputs(spec.recipe(), registry)
            if side == "lorarack":
                found = _lorarack(inputs, spec, folder)
            elif side in ("ladder", "ascend"):
                found = _study(side, registry, spec, folder)
            else:
                found = _trl(inputs, spec, folder, tuned=side == "trl_tuned")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {**found, "peak_mib": peak, "threads": torch.get_num_threads()}


def _lorarack(inputs: Inputs, spec: Spec, folder: Path) -> dict[str, float]:
    from lorarack.adapters.training.loaded_base import LoadedBase, open_base
    from lorarack.adapters.training.train_rank import train_rank
    from lorarack.adapters.training.trainer import CompletionTrainer

    started = time.process_time()
    with _clocked(LoadedBase, "measure") as measuring, _clocked(CompletionTrainer, "train") as training:
        base = open_base(inputs, Silent())
        outcome = train_rank(base, inputs.recipe, spec.rank, folder / "adapter", Silent())
    seconds = time.process_time() - started
    learned = sum(row.learned for row in base.tokens.train)
    steps = sum(training) - sum(measuring[1:])  # the first is of the base alone, before training
    return {"seconds": seconds, "steps": steps, "loss": outcome.fit.eval_loss, "learned": learned}


def _study(side: Any, registry: Registry, spec: Spec, folder: Path) -> dict[str, float]:
    from lorarack.adapters.studies.run import study

    started = time.process_time()
    report = study(spec.recipe(), registry, strategy=side, ranks=spec.ranks, folder=folder / "studies")
    seconds = time.process_time() - started
    return {"seconds": seconds, "loss": min(line.eval_loss for line in report.ranks), "rank": report.recommended.rank}


def _trl(inputs: Inputs, spec: Spec, folder: Path, *, tuned: bool) -> dict[str, float]:
    """TRL's SFTTrainer, told the same numbers; ``tuned``: the base in bfloat16 and no gradient checkpointing."""
    import torch
    from datasets import Dataset, disable_progress_bars
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    from lorarack.adapters.training.loaded_base import open_base
    from lorarack.adapters.training.loss import mean_loss
    from lorarack.adapters.training.model import use_all_cores

    disable_progress_bars()
    use_all_cores()
    recipe = inputs.recipe
    started = time.process_time()
    arguments: dict[str, Any] = {"gradient_checkpointing": False, "model_init_kwargs": {"dtype": "bfloat16"}}
    trainer = SFTTrainer(
        model=spec.base,
        args=SFTConfig(
            output_dir=str(folder / "trl"), max_steps=spec.steps, per_device_train_batch_size=spec.batch_size,
            learning_rate=spec.learning_rate, lr_scheduler_type="cosine", warmup_steps=-(-spec.steps // 10), seed=spec.seed,
            eval_strategy="steps", eval_steps=spec.eval_every, per_device_eval_batch_size=spec.batch_size, report_to="none",
            save_strategy="no", disable_tqdm=True, use_cpu=not torch.cuda.is_available(), dataloader_pin_memory=False,
            **(arguments if tuned else {}),
        ),
        train_dataset=Dataset.from_list(_rows(spec.train)),
        eval_dataset=Dataset.from_list(_rows(spec.validation)),
        peft_config=LoraConfig(
            r=spec.rank, lora_alpha=recipe.alpha_of(spec.rank), target_modules="all-linear", task_type="CAUSAL_LM"
        ),
    )  # fmt: skip
    with _clocked(SFTTrainer, "evaluate") as measuring, _clocked(SFTTrainer, "train") as training:
        trainer.train()
    seconds = time.process_time() - started
    base = open_base(inputs, Silent())
    with torch.autocast("cpu", torch.bfloat16):
        loss = mean_loss(trainer.model, base.tokens.validation, base.pad, spec.batch_size)
    batches = ((row, trainer.data_collator([row])) for row in trainer.train_dataset)
    learned = sum(int((batch["labels"] != -100).sum()) for _, batch in batches)
    return {"seconds": seconds, "steps": sum(training) - sum(measuring), "loss": loss, "learned": learned}


@contextmanager
def _clocked(owner: type, method: str) -> Iterator[list[float]]:
    """The seconds of each call of a method, inside."""
    found, taken = getattr(owner, method), []

    def call(*args: Any, **kwargs: Any) -> Any:
        started = time.process_time()
        try:
            return found(*args, **kwargs)
        finally:
            taken.append(time.process_time() - started)

    setattr(owner, method, call)
    try:
        yield taken
    finally:
        setattr(owner, method, found)


def _rows(path: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


if __name__ == "__main__":
    given = json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    print(json.dumps(main(sys.argv[1], Spec(**{**given, "ranks": tuple(given.get("ranks", ()))}))))  # type: ignore[arg-type]
