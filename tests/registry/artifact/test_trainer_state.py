"""What a run measured becomes the curves, and the metric of exactly the weights that are published."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.registry.artifacts import read_artifact
from tests.tiny import tiny_adapter, write_json

from lorarack.registry import Base, Metric, Registry

LOSSES = {50: 0.6, 100: 0.4, 150: 0.5}


def state(folder: Path, losses: dict[int, float] = LOSSES, last: int = 150, **more: Any) -> Path:
    history: list[dict[str, Any]] = [{"step": step, "loss": value + 0.1} for step, value in losses.items()]
    history += [{"step": step, "eval_loss": value, "eval_runtime": 1.0} for step, value in losses.items()]
    write_json(folder / "trainer_state.json", {"global_step": last, "log_history": history, **more})
    return folder


def final(folder: Path, base: Base) -> float | None:
    found = read_artifact(folder, base).final
    return found.value if found else None


def test_the_last_steps_weights_have_the_last_value(adapter: Path, base: Base) -> None:
    assert final(state(adapter), base) == 0.5


def test_a_checkpoint_has_the_value_of_its_own_step(tmp_path: Path, base: Base) -> None:
    """Whatever was best by then."""
    folder = tiny_adapter(tmp_path / "checkpoint-150")
    assert final(state(folder, best_global_step=100, best_model_checkpoint="out/checkpoint-100"), base) == 0.5
    folder = tiny_adapter(tmp_path / "checkpoint-100")
    assert final(state(folder, last=100), base) == 0.4


def test_a_checkpoint_is_told_by_its_files_where_it_was_renamed(adapter: Path, base: Base) -> None:
    (adapter / "optimizer.pt").write_bytes(b"never opened")
    assert final(state(adapter, best_global_step=100), base) == 0.5


@pytest.mark.parametrize("best", [{"best_global_step": 100}, {"best_model_checkpoint": "/runs/a/checkpoint-100"}])
def test_a_root_has_the_best_checkpoints_value(best: dict[str, Any], adapter: Path, base: Base) -> None:
    """``load_best_model_at_end`` leaves the best weights there."""
    artifact = read_artifact(state(adapter, **best), base)
    assert artifact.final is not None
    assert (artifact.final.value, artifact.final.step, artifact.final.label) == (0.4, None, "eval_loss")
    assert any("eval_loss is 0.4, measured at step 100, the best" in note for note in artifact.notes)


def test_a_root_whose_weights_are_not_the_bests_has_the_last_value(adapter: Path, base: Base) -> None:
    """A best step is named also where it was not loaded at the end; its checkpoint tells."""
    tiny_adapter(adapter / "checkpoint-100", seed=1)
    assert final(state(adapter, best_global_step=100), base) == 0.5
    tiny_adapter(adapter / "checkpoint-100")
    assert final(state(adapter, best_global_step=100), base) == 0.4


def test_a_checkpoint_that_is_no_plain_file_does_no_harm(adapter: Path, base: Base) -> None:
    """Opening a pipe would wait for ever."""
    (adapter / "checkpoint-100").mkdir()
    os.mkfifo(adapter / "checkpoint-100" / "adapter_model.safetensors")
    assert final(state(adapter, best_global_step=100), base) == 0.4


def test_a_value_of_another_step_is_not_claimed(tmp_path: Path, base: Base) -> None:
    assert final(state(tiny_adapter(tmp_path / "checkpoint-120"), last=120), base) is None
    assert final(state(tiny_adapter(tmp_path / "a"), last=151), base) is None
    assert final(state(tiny_adapter(tmp_path / "b"), losses={}), base) is None


def logged(folder: Path, lines: Sequence[str | dict[str, Any]]) -> Path:
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    (folder / "logging.jsonl").write_text(text)
    return folder


def test_ms_swifts_log_is_read_too(tmp_path: Path, base: Base) -> None:
    lines: list[str | dict[str, Any]] = [
        {"loss": 1.5, "global_step/max_steps": "5/100", "percentage": "5%"},
        {"eval_loss": 0.9, "global_step/max_steps": "50/100"},
        "not JSON",
        {"eval_loss": 0.7, "global_step/max_steps": "100/100"},
        {"train_dataset": "500", "last_model_checkpoint": "x/checkpoint-100"},
    ]
    artifact = read_artifact(logged(tiny_adapter(tmp_path / "a"), lines), base)
    assert [(m.label, m.step, m.value) for m in artifact.curves] == [
        ("train_loss", 5, 1.5), ("eval_loss", 50, 0.9), ("eval_loss", 100, 0.7),
    ]  # fmt: skip
    assert final(tmp_path / "a", base) == 0.7
    assert final(logged(tiny_adapter(tmp_path / "checkpoint-50"), lines), base) == 0.9


def test_it_becomes_the_metric_that_counts(tmp_path: Path, registry: Registry) -> None:
    published = registry.publish(state(tiny_adapter(tmp_path / "checkpoint-150")), "support", base="tiny")
    found = published.version.metric("loss", "validation")
    assert found is not None
    assert found.value == 0.5
    assert [point.value for point in published.version.curve("loss", "validation")] == [0.6, 0.4, 0.5]
    assert registry.best("support", "eval_loss").version.reference == "support@1"


def test_what_the_publisher_says_comes_first(tmp_path: Path, registry: Registry) -> None:
    said = Metric(name="loss", split="validation", value=0.3)
    folder = state(tiny_adapter(tmp_path / "checkpoint-150"))
    version = registry.publish(folder, "support", base="tiny", metrics=[said]).version
    assert [metric for metric in version.metrics if metric.step is None] == [said]
    again = registry.publish(folder, "support", base="tiny").version
    found = again.metric("loss", "validation")
    assert found is not None
    assert found.value == 0.3, "publishing again puts nothing before what was said"
