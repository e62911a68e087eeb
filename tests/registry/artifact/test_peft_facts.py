"""Facts of the installed PEFT and vLLM that the checks of an adapter lean on."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from tests.tiny import adapter_config, adapter_tensors, tiny_adapter

from lorarack.registry.artifact.adapter_config import parse_config
from lorarack.registry.artifact.peft_config import first_match

pytestmark = pytest.mark.torch

MODULES = ("model.layers.0.self_attn.q_proj", "model.layers.11.mlp.up_proj", "lm_head", "q_proj")
PATTERNS: tuple[dict[str, int], ...] = (
    {"q_proj": 1, ".*proj": 2},
    {".*proj": 2, "q_proj": 1},
    {r"layers\.(0|1)\..*": 3, "up_proj": 4},
    {"proj": 5},
    {"^lm_head": 6, "head": 7},
    {"self_attn.q_proj": 8},
)


def test_peft_writes_the_keys_that_the_tiny_adapter_has(tmp_path: Path) -> None:
    """So what the other tests publish is what people publish; and PEFT's defaults are accepted."""
    from peft import LoraConfig

    LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM").save_pretrained(tmp_path)
    raw = (tmp_path / "adapter_config.json").read_bytes()
    written = json.loads(raw)
    assert set(written) == set(adapter_config())
    differing = {key for key, value in adapter_config().items() if written[key] != value}
    assert differing <= {"base_model_name_or_path", "target_modules", "inference_mode", "peft_version"}
    assert parse_config(raw)[2] == []


@pytest.mark.parametrize("patterns", PATTERNS, ids=str)
def test_patterns_mean_what_they_mean_in_peft_and_vllm(patterns: dict[str, int]) -> None:
    from peft.utils.other import get_pattern_key
    from vllm.lora.peft_helper import PEFTHelper

    helper = PEFTHelper(r=99, lora_alpha=99, target_modules=[], rank_pattern=patterns)
    for module in MODULES:
        ours = first_match(patterns, module, 99)
        assert ours == patterns.get(get_pattern_key(list(patterns), module), 99)
        assert ours == helper.get_rank_and_scaling(module)[0]


def test_vllm_refuses_nothing_that_is_accepted_and_reads_every_feature_that_is() -> None:
    """A feature that vLLM learns to know is one to look at again."""
    from vllm.lora.peft_helper import PEFTHelper

    known = {field.name for field in fields(PEFTHelper) if not field.name.startswith("vllm_")}
    assert known == {
        "r", "lora_alpha", "target_modules", "bias", "modules_to_save", "use_rslora", "use_dora", "lora_bias",
        "init_lora_weights", "alora_invocation_tokens", "layer_replication", "use_bdlora", "use_qalora", "rank_pattern",
        "alpha_pattern",
    }  # fmt: skip
    variants: tuple[dict[str, Any], ...] = (
        {}, {"use_rslora": True}, {"init_lora_weights": "gaussian"}, {"init_lora_weights": False}, {"rank_pattern": {"q": 8}},
    )  # fmt: skip
    for changes in variants:
        data = adapter_config() | changes
        assert parse_config(json.dumps(data).encode())[2] == []
        assert PEFTHelper.from_dict(data)._validate_features() == []


def test_peft_loads_a_tiny_adapter(tmp_path: Path, base_folder: Path) -> None:
    """Every weight of the file is in the model afterwards."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(base_folder)
    model = PeftModel.from_pretrained(base, tiny_adapter(tmp_path / "a"))
    weights = model.state_dict()
    for name, array in adapter_tensors().items():
        inside = name.replace(".weight", ".default.weight")
        assert torch.equal(weights[inside], torch.from_numpy(array))
