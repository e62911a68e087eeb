"""What of ``config.json`` makes another model, and what does not."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.tiny import BASE_CONFIG, tiny_base, write_json

from lorarack.registry.base_model.files import FolderFiles
from lorarack.registry.base_model.fingerprint import read_base
from lorarack.registry.base_model.function_config import function_config

YARN = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 64}


@pytest.mark.parametrize(
    "change",
    [
        {"rope_parameters": YARN},
        {"rope_scaling": {"type": "linear", "factor": 2.0}},
        {"rope_theta": 500000.0},
        {"rms_norm_eps": 1e-5},
        {"num_attention_heads": 2, "head_dim": 8},
        {"num_key_value_heads": 1},
        {"hidden_act": "gelu"},
        {"attention_bias": True},
        {"max_position_embeddings": 512},
        {"sliding_window": 64},
        {"logit_scale": 0.5},
        {"quantization_config": {"quant_method": "fp8"}},
        {"text_config": {"rms_norm_eps": 1e-5}},
        {"a_key_that_nobody_knows": 1},
    ],
    ids=str,
)
def test_what_the_function_depends_on_makes_another_base(change: dict[str, Any], tmp_path: Path) -> None:
    folder = tiny_base(tmp_path / "base")
    before = read_base(FolderFiles(folder))
    write_json(folder / "config.json", BASE_CONFIG | change)
    after = read_base(FolderFiles(folder))
    assert {after.fingerprint, after.by_files}.isdisjoint({before.fingerprint, before.by_files})


@pytest.mark.parametrize(
    "change",
    [
        {"_name_or_path": "/home/ann/model"},
        {"transformers_version": "4.40.0"},
        {"torch_dtype": "float32"},
        {"dtype": None},
        {"use_cache": False},
        {"_attn_implementation": "sdpa"},
        {"attention_dropout": 0.1},
        {"initializer_range": 0.5},
        {"eos_token_id": [2, 3]},
        {"pad_token_id": 0},
        {"rms_norm_eps": 0.000001},
        {"rope_theta": 10000},
        {"rope_theta": 10000.0, "rope_scaling": None},
        {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}},
        {"mlp_bias": False},
        {"pretraining_tp": 1},
        {"architectures": ["LlamaForCausalLM", "Other"]},
    ],
    ids=str,
)
def test_another_spelling_is_the_same_base(change: dict[str, Any], tmp_path: Path) -> None:
    folder = tiny_base(tmp_path / "base")
    before = read_base(FolderFiles(folder))
    write_json(folder / "config.json", dict(reversed((BASE_CONFIG | change).items())))
    assert read_base(FolderFiles(folder)).fingerprint == before.fingerprint


@pytest.mark.parametrize("model_type", ["llama", "qwen2", "unknown_model"])
def test_rope_is_one_thing_before_and_since_transformers_5(model_type: str) -> None:
    old = {"model_type": model_type, "rope_theta": 1e6, "rope_scaling": {"type": "linear", "factor": 2}}
    new = {"model_type": model_type, "rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1000000}}
    assert function_config(old) == function_config(new)


def test_null_is_not_a_default_that_is_a_number() -> None:
    """Mistral without a window is another model than Mistral with the window that it has by default."""
    assert function_config({"model_type": "mistral", "sliding_window": None}) != function_config(
        {"model_type": "mistral"}
    )


def test_a_window_that_is_switched_off_is_none() -> None:
    off = {"model_type": "qwen2", "use_sliding_window": False}
    assert function_config(off | {"sliding_window": None, "layer_types": ["full_attention"]}) == function_config(
        off | {"sliding_window": 32768, "max_window_layers": 21}
    )


@pytest.mark.torch
def test_the_defaults_are_those_of_the_installed_transformers() -> None:
    """After an upgrade of transformers: run scripts/config_defaults.py and look at what changes."""
    from scripts.config_defaults import OUT, defaults

    assert json.loads(OUT.read_text())["defaults"] == json.loads(json.dumps(defaults()))
