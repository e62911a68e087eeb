"""Numbers that overflow in an engine, or drown the base, are refused; strong adapters are not."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tests.tiny import tiny_adapter, tiny_base

from lorarack.registry import Registry, open_registry
from lorarack.registry.errors import InvalidArtifact


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    opened = open_registry(tmp_path / "home")
    opened.add_base(str(tiny_base(tmp_path / "base")), "tiny")
    return opened


def adapter(folder: Path, *, times: float = 1.0, **config: Any) -> Path:
    """A tiny adapter whose every B is multiplied, with these keys in its configuration."""
    made = tiny_adapter(folder, **config)
    weights = load_file(made / "adapter_model.safetensors")
    scaled = {
        name: (array * times).astype(np.float32) if "lora_B" in name else array for name, array in weights.items()
    }
    save_file(scaled, made / "adapter_model.safetensors")
    return made


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"lora_alpha": 1e308}, "scaled by more than 1024"),
        ({"lora_alpha": -1e308}, "scaled by more than 1024"),
        ({"lora_alpha": 5000}, "lora_alpha / rank"),
        ({"lora_alpha": 1e30, "use_rslora": True}, "lora_alpha / sqrt"),
        ({"alpha_pattern": {"v_proj": 1e9}}, "v_proj"),
        ({"alpha_pattern": {r".*\.0\.self_attn\.v_proj": 1e9}}, "v_proj"),
        ({"times": 1e37}, "overflow float16"),
        ({"times": 1e4}, "changes the base by more"),
        ({"times": 10.0, "lora_alpha": 4000}, "changes the base by more"),
    ],
)
def test_too_large_is_refused(tmp_path: Path, registry: Registry, config: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidArtifact, match="cannot be published") as refused:
        registry.publish(adapter(tmp_path / "one", **config), "support", base="tiny")
    assert said in str(refused.value)


@pytest.mark.parametrize("config", [{"times": 5.0}, {"lora_alpha": 256}, {"lora_alpha": 128, "use_rslora": True}])
def test_strong_is_not_too_large(tmp_path: Path, registry: Registry, config: dict[str, Any]) -> None:
    assert registry.publish(adapter(tmp_path / "one", **config), "support", base="tiny").version.number == 1


def test_no_more_patterns_than_modules(tmp_path: Path, registry: Registry) -> None:
    patterns = {f"nothing.{number}": 4.0 for number in range(4990)}
    with pytest.raises(InvalidArtifact, match="4990 patterns"):
        registry.publish(adapter(tmp_path / "one", alpha_pattern=patterns), "support", base="tiny")


def test_a_pattern_is_judged_on_every_module(tmp_path: Path, registry: Registry) -> None:
    """It is quick on the first layer's q_proj, and takes for ever on a v_proj."""
    bomb = r"(?!.*q_proj)(.+)(.+)(.+)(.+)(.+)(.+)(.+)(.+)\3\4\5\6\7\8\9"
    with pytest.raises(InvalidArtifact, match="not a usable pattern"):
        registry.publish(adapter(tmp_path / "one", alpha_pattern={bomb: 4.0}), "support", base="tiny")
