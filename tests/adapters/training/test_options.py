"""Packing, checkpointing, reporting: the same loss, and what is in the way is one sentence."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lorarack.adapters.recipe import Recipe
from lorarack.adapters.training.run import train
from lorarack.registry import Registry
from lorarack.registry.errors import UsageError

pytestmark = pytest.mark.torch
Make = Callable[..., Recipe]


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_packed_rows_have_the_loss_that_they_have_apart(tiny_folder: Path, attention: str) -> None:
    """Also a text, whose first token has no loss either way; a model that does not keep rows apart is refused."""
    import torch
    from transformers import AutoModelForCausalLM

    from lorarack.adapters.training.encode import Encoded
    from lorarack.adapters.training.loss import Collator, PackedCollator, completion_loss
    from lorarack.adapters.training.packing import check_packing

    model = AutoModelForCausalLM.from_pretrained(tiny_folder, attn_implementation=attention)
    rows = [Encoded((5, 6, 7), (8, 9)), Encoded((), (10, 11, 12, 13)), Encoded((9, 9, 9, 9, 9, 9), (4,))]
    features = [row.features() for row in rows]
    apart, count = completion_loss(model, Collator(0)(features))
    packed, same = completion_loss(model, PackedCollator()(features))
    torch.testing.assert_close(packed, apart)
    assert (count, same) == (6, 6)
    check_packing(model, rows, 0)
    forward = model.forward
    model.forward = lambda position_ids=None, logits_to_keep=0, **more: forward(logits_to_keep=logits_to_keep, **more)
    with pytest.raises(UsageError, match="leave out 'packing'"):
        check_packing(model, rows, 0)


def test_options_train_to_the_same_losses(registry: Registry, recipe: Make) -> None:
    """Packing and checkpointing change how it is computed, not what."""
    losses = []
    for changes in ({}, {"packing": True, "attention": "sdpa"}, {"gradient_checkpointing": True}):
        (done,) = train(recipe(max_steps=4, eval_every=2, **changes), registry)
        losses.append([point.value for point in done.version.curve("loss", "validation")])
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    assert losses[2] == pytest.approx(losses[0], rel=1e-4)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"dtype": "float16"}, "float16 needs a GPU"),
        ({"quantise": "4bit"}, "needs the package 'bitsandbytes'|'quantise: 4bit' needs a GPU"),
        ({"attention": "flash_attention_2"}, "needs the package 'flash_attn'"),
        ({"peft": {"use_dora": True}}, "DoRA is not served"),
    ],
)
def test_what_this_machine_or_a_server_cannot_do_is_said_before_the_first_step(
    registry: Registry, recipe: Make, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        train(recipe(**changes), registry)
    assert registry.adapters() == ()


def test_a_base_in_eight_bits_is_trained_on(registry: Registry, recipe: Make) -> None:
    """Where bitsandbytes is there, on a CPU too; what is published is an adapter like any other."""
    pytest.importorskip("bitsandbytes")
    losses: list[float] = []
    for changes in ({}, {"quantise": "8bit"}):
        (done,) = train(recipe(name=f"in-{len(losses)}", dtype="bfloat16", **changes), registry)
        metric = done.version.metric("loss", "validation")
        assert metric is not None
        losses.append(metric.value)
    assert losses[1] == pytest.approx(losses[0], rel=0.1)


def test_reports_go_through(registry: Registry, recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the recipe names is what the Trainer is given."""
    from lorarack.adapters.training.plan import make_plan
    from lorarack.adapters.training.trainer import _arguments

    plan = recipe(report_to=["tensorboard", "mlflow"])
    assert _arguments(plan, make_plan(plan, 12), str(tmp_path)).report_to == ["tensorboard", "mlflow"]
    assert _arguments(recipe(), make_plan(plan, 12), str(tmp_path)).report_to == []


def test_one_gpu_of_several_without_data_parallel(
    recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Trainer would split batches over all of them; and how all are used is said."""
    import torch

    from lorarack.adapters.training.plan import make_plan
    from lorarack.adapters.training.processes import say_about_gpus
    from lorarack.adapters.training.trainer import _arguments

    monkeypatch.setattr("transformers.TrainingArguments.n_gpu", property(lambda self: self._n_gpu))
    monkeypatch.setattr(
        "transformers.TrainingArguments._setup_devices", property(lambda self: setattr(self, "_n_gpu", 4))
    )
    assert _arguments(recipe(), make_plan(recipe(), 12), str(tmp_path)).n_gpu <= 1
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert "accelerate launch --num_processes 4" in (say_about_gpus() or "")


def test_two_processes_train_one_version(tmp_path: Path, registry: Registry, recipe: Make) -> None:
    """As accelerate and torchrun start them: each has its part of the rows, the first one publishes and says so."""
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe(max_steps=3, eval_every=3, ranks=[2]).to_yaml())
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--standalone"]
    command = [
        *launch,
        "-m",
        "lorarack.registry.cli.main",
        "train",
        str(path),
        "--registry",
        registry.location,
        "--json",
    ]
    done = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (printed,) = json.loads(done.stdout)
    assert printed["reference"] == "letters@1"
    (version,) = registry.versions("letters")
    alone = train(recipe(max_steps=3, eval_every=3, ranks=[2], batch_size=8), registry)[0].version
    together = registry.resolve("letters@1").metric("loss", "validation")
    by_itself = alone.metric("loss", "validation")
    assert together is not None
    assert by_itself is not None
    assert together.value == pytest.approx(by_itself.value, rel=0.02)
    assert version.provenance is not None
