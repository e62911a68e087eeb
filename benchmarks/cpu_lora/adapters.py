"""Adapters of random weights, as PEFT would save them, for a Llama-like base: speed does not depend on what they say."""

import json
from pathlib import Path

import torch
from benchmarks.cpu_lora.arms import MODULES
from safetensors.torch import save_file


def shapes(base: Path) -> dict[str, tuple[int, int]]:
    """``(outputs, inputs)`` of each linear layer of a block."""
    config = json.loads((base / "config.json").read_text())
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    head = config.get("head_dim") or hidden // config["num_attention_heads"]
    queries, keys = head * config["num_attention_heads"], head * config["num_key_value_heads"]
    return {
        "self_attn.q_proj": (queries, hidden),
        "self_attn.k_proj": (keys, hidden),
        "self_attn.v_proj": (keys, hidden),
        "self_attn.o_proj": (hidden, queries),
        "mlp.gate_proj": (inner, hidden),
        "mlp.up_proj": (inner, hidden),
        "mlp.down_proj": (hidden, inner),
    }


def make_adapter(base: Path, folder: Path, rank: int, seed: int, deviation: float = 0.02) -> Path:
    """Write an adapter on all linear layers, in bf16, to ``folder``; ``deviation``: of the numbers of B."""
    source = torch.Generator().manual_seed(seed)
    tensors = {}
    for block in range(json.loads((base / "config.json").read_text())["num_hidden_layers"]):
        for name, (outputs, inputs) in shapes(base).items():
            path = f"base_model.model.model.layers.{block}.{name}"
            tensors[f"{path}.lora_A.weight"] = (torch.randn(rank, inputs, generator=source) / inputs**0.5).bfloat16()
            tensors[f"{path}.lora_B.weight"] = (torch.randn(outputs, rank, generator=source) * deviation).bfloat16()
    folder.mkdir(parents=True)
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": rank,
        "lora_alpha": 2 * rank,
        "lora_dropout": 0.0,
        "target_modules": list(MODULES),
        "bias": "none",
        "base_model_name_or_path": str(base),
    }
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder
