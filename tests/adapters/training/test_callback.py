"""One line in anybody's Trainer script, and the run ends as a version."""

from pathlib import Path
from typing import Any

import pytest

from lorarack.registry import Registry
from lorarack.registry.errors import NotFound, UsageError

pytestmark = pytest.mark.torch


def _trainer(folder: Path, output: Path, callback: Any, lora: dict[str, Any] | None = None, **arguments: Any) -> Any:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, Trainer, TrainingArguments

    model = AutoModelForCausalLM.from_pretrained(folder)
    if lora is not None:
        model = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj", "v_proj"], **lora))
    rows = [{"input_ids": [5, 6, 7, 8], "labels": [5, 6, 7, 8]}] * 8
    settings = {"max_steps": 4, "logging_steps": 1, "use_cpu": True, "report_to": [], "disable_tqdm": True}
    given = TrainingArguments(
        output_dir=str(output), eval_strategy="steps", eval_steps=2, save_steps=2, **settings, **arguments
    )
    return Trainer(model=model, args=given, train_dataset=rows, eval_dataset=rows, callbacks=[callback])


def test_a_trainer_script_ends_as_a_version(tmp_path: Path, tiny_folder: Path, registry: Registry) -> None:
    """With losses, curves, settings and software; the weights are those that were best."""
    from lorarack.adapters.callback import LorarackCallback

    callback = LorarackCallback("mine", base="tiny", registry=registry.location, tags={"by": "script"})
    _trainer(tiny_folder, tmp_path / "out", callback, {"r": 4}, load_best_model_at_end=True, learning_rate=0.01).train()
    assert callback.published is not None
    version = callback.published.version
    assert registry.resolve("mine@1").digest == version.digest
    assert [point.step for point in version.curve("loss", "train")] == [1, 2, 3, 4]
    final = version.metric("loss", "validation")
    assert final is not None
    assert final.value == min(point.value for point in version.curve("loss", "validation"))
    assert version.provenance is not None
    assert version.provenance.recipe["learning_rate"] == 0.01
    assert "peft" in version.provenance.versions
    assert version.tags == {"by": "script"}
    assert str(tmp_path) not in str(version.to_json())
    assert not (tmp_path / "out" / "lorarack-adapter").exists()


@pytest.mark.parametrize(
    ("lora", "base", "error", "said"),
    [
        (None, "tiny", UsageError, "wrap it with peft's get_peft_model"),
        ({"r": 4, "use_dora": True}, "tiny", UsageError, "DoRA is not served"),
        ({"r": 1024}, "tiny", UsageError, "rank 1024 is above 512"),
        ({"r": 4}, "tinny", NotFound, "no base model 'tinny'"),
    ],
)
def test_what_could_not_be_published_is_refused_before_the_first_step(
    tmp_path: Path,
    tiny_folder: Path,
    registry: Registry,
    lora: dict[str, Any] | None,
    base: str,
    error: type[Exception],
    said: str,
) -> None:
    from lorarack.adapters.callback import LorarackCallback

    trainer = _trainer(
        tiny_folder, tmp_path / "out", LorarackCallback("mine", base=base, registry=registry.location), lora
    )
    with pytest.raises(error, match=said):
        trainer.train()
    assert trainer.state.global_step == 0
    assert registry.adapters() == ()


def test_an_adapter_that_cannot_be_published_is_kept(
    tmp_path: Path, tiny_folder: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hours of training are not lost to a full disk: the error names the folder."""
    from lorarack.adapters.callback import LorarackCallback
    from lorarack.registry.errors import StoreError

    callback = LorarackCallback("mine", base="tiny", registry=registry.location)
    trainer = _trainer(tiny_folder, tmp_path / "out", callback, {"r": 4})

    def full(*_: object, **__: object) -> None:
        raise StoreError("The disk is full.")

    monkeypatch.setattr(type(registry), "publish", full)
    with pytest.raises(StoreError) as caught:
        trainer.train()
    assert "lorarack-adapter" in caught.value.__notes__[0]
    assert (tmp_path / "out" / "lorarack-adapter" / "adapter_model.safetensors").exists()
