"""A tiny base model and tiny adapters for it, made in milliseconds without torch, in the form that PEFT and transformers write."""

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

LAYERS, HIDDEN, INNER, KEYS, VOCABULARY = 2, 16, 32, 8, 64

#: Every linear layer of one block, by its name in the block: (out, in).
LINEAR = {
    "self_attn.q_proj": (HIDDEN, HIDDEN),
    "self_attn.k_proj": (KEYS, HIDDEN),
    "self_attn.v_proj": (KEYS, HIDDEN),
    "self_attn.o_proj": (HIDDEN, HIDDEN),
    "mlp.gate_proj": (INNER, HIDDEN),
    "mlp.up_proj": (INNER, HIDDEN),
    "mlp.down_proj": (HIDDEN, INNER),
}
ALL_LINEAR = tuple(name.rpartition(".")[2] for name in LINEAR)

Tensors = Mapping[str, NDArray[Any]]
_DTYPES = {
    "float64": "F64", "float32": "F32", "float16": "F16", "uint16": "BF16", "int8": "I8", "uint8": "U8", "int32": "I32",
    "int64": "I64",
}  # fmt: skip


def tiny_base(folder: Path, seed: int = 0, shards: int = 1) -> Path:
    """Write a base model in Llama's shape (2 layers, hidden 16, 64 characters as tokens, tied head) to ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = base_tensors(seed)
    names = list(tensors)
    if shards == 1:
        write_safetensors(folder / "model.safetensors", tensors)
    else:
        files = [f"model-{shard + 1:05}-of-{shards:05}.safetensors" for shard in range(shards)]
        for shard, file in enumerate(files):
            write_safetensors(folder / file, {name: tensors[name] for name in names[shard::shards]})
        spread = {name: files[place % shards] for place, name in enumerate(names)}
        write_json(folder / "model.safetensors.index.json", {"metadata": {}, "weight_map": spread})
    write_json(folder / "config.json", BASE_CONFIG)
    write_json(folder / "generation_config.json", {"bos_token_id": 1, "eos_token_id": 2})
    write_json(folder / "tokenizer.json", tokenizer())
    write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": "<s>",
            "eos_token": "</s>",
            "unk_token": "<unk>",
            "pad_token": "</s>",
        },
    )
    return folder


def tiny_adapter(
    folder: Path,
    rank: int = 4,
    seed: int = 0,
    targets: Sequence[str] = ("q_proj", "v_proj"),
    alpha: float | None = None,
    **config: Any,
) -> Path:
    """Write a LoRA of ``rank`` for that base to ``folder``, as PEFT's ``save_pretrained`` does; ``config`` replaces keys."""
    folder.mkdir(parents=True, exist_ok=True)
    write_safetensors(folder / "adapter_model.safetensors", adapter_tensors(rank, seed, targets))
    write_json(folder / "adapter_config.json", adapter_config(rank, targets, alpha) | config)
    (folder / "README.md").write_text("---\nlibrary_name: peft\n---\n\n# Model Card\n")
    return folder


def base_tensors(seed: int = 0) -> dict[str, NDArray[Any]]:
    """The base's weights by name. There is no ``lm_head``: it is tied to the embedding."""
    random = np.random.default_rng(seed)

    def draw(*shape: int) -> NDArray[Any]:
        return random.normal(0, 0.1, shape).astype(np.float32)

    tensors = {"model.embed_tokens.weight": draw(VOCABULARY, HIDDEN), "model.norm.weight": np.ones(HIDDEN, np.float32)}
    for layer in range(LAYERS):
        block = f"model.layers.{layer}"
        for name, shape in LINEAR.items():
            tensors[f"{block}.{name}.weight"] = draw(*shape)
        for norm in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"{block}.{norm}.weight"] = np.ones(HIDDEN, np.float32)
    return dict(sorted(tensors.items()))


def adapter_tensors(
    rank: int = 4, seed: int = 0, targets: Sequence[str] = ("q_proj", "v_proj")
) -> dict[str, NDArray[Any]]:
    """An adapter's weights by PEFT's names; B is not zero, as after training."""
    random = np.random.default_rng([seed, rank])
    tensors = {}
    for layer in range(LAYERS):
        for name, (out, width) in LINEAR.items():
            if name.rpartition(".")[2] in targets:
                module = f"base_model.model.model.layers.{layer}.{name}"
                tensors[f"{module}.lora_A.weight"] = random.normal(0, 0.2, (rank, width)).astype(np.float32)
                tensors[f"{module}.lora_B.weight"] = random.normal(0, 0.2, (out, rank)).astype(np.float32)
    return tensors


def adapter_config(
    rank: int = 4, targets: Sequence[str] = ("q_proj", "v_proj"), alpha: float | None = None
) -> dict[str, Any]:
    """``adapter_config.json`` with every key that PEFT 0.21 writes."""
    written: dict[str, Any] = dict.fromkeys(PEFT_OFF_KEYS)
    return written | {
        "alpha_pattern": {},
        "base_model_name_or_path": "tiny-base",
        "bias": "none",
        "ensure_weight_tying": False,
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
        "loftq_config": {},
        "lora_alpha": 2 * rank if alpha is None else alpha,
        "lora_bias": False,
        "lora_dropout": 0.0,
        "megatron_core": "megatron.core",
        "peft_type": "LORA",
        "peft_version": "0.21.2",
        "qalora_group_size": 16,
        "r": rank,
        "rank_pattern": {},
        "target_modules": list(targets),
        "task_type": "CAUSAL_LM",
        "use_dora": False,
        "use_qalora": False,
        "use_rslora": False,
    }


#: Keys of PEFT's LoraConfig that are null unless their feature is used.
PEFT_OFF_KEYS = (
    "alora_invocation_tokens", "arrow_config", "auto_mapping", "corda_config", "eva_config", "exclude_modules",
    "kasa_config", "layer_replication", "layers_pattern", "layers_to_transform", "lora_ga_config", "megatron_config",
    "modules_to_save", "monteclora_config", "revision", "target_parameters", "trainable_token_indices", "use_bdlora",
    "velora_config",
)  # fmt: skip

BASE_CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "dtype": "float32",
    "vocab_size": VOCABULARY,
    "hidden_size": HIDDEN,
    "intermediate_size": INNER,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 4,
    "hidden_act": "silu",
    "max_position_embeddings": 256,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": True,
    "attention_bias": False,
    "mlp_bias": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def tokenizer() -> dict[str, Any]:
    """``tokenizer.json``: one token per character, 64 in all."""
    special = ["<unk>", "<s>", "</s>"]
    characters = " abcdefghijklmnopqrstuvwxyz0123456789\n.,:;!?'\"()[]{}<>/+-*=_#@"
    vocabulary = {token: number for number, token in enumerate([*special, *characters][:VOCABULARY])}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": vocabulary[token],
                "content": token,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
            for token in special
        ],
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": {"type": "Fuse"},
        "model": {"type": "BPE", "unk_token": "<unk>", "vocab": vocabulary, "merges": []},
    }


def write_safetensors(path: Path, tensors: Tensors) -> Path:
    """Write ``tensors`` in the safetensors format; ``uint16`` arrays are taken for the bits of bfloat16."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = bytearray()
    for name, array in tensors.items():
        start = len(data)
        data += array.tobytes()
        header[name] = {
            "dtype": _DTYPES[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [start, len(data)],
        }
    path.write_bytes(safetensors_bytes(header, bytes(data)))
    return path


def safetensors_bytes(header: object, data: bytes = b"") -> bytes:
    """A file with this header, right or wrong, and these tensor bytes."""
    raw = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<Q", len(raw)) + raw + data


def write_json(path: Path, value: object) -> Path:
    """Write ``value`` as JSON."""
    path.write_text(json.dumps(value, indent=2))
    return path


def change_config(folder: Path, **changes: Any) -> Path:
    """Replace keys of the adapter's configuration in ``folder``."""
    path = folder / "adapter_config.json"
    write_json(path, json.loads(path.read_text()) | changes)
    return folder


def change_tensors(folder: Path, changes: Mapping[str, NDArray[Any] | None], rank: int = 4, seed: int = 0) -> Path:
    """Write the adapter's weights anew with some replaced, added, or (None) left out."""
    tensors: dict[str, NDArray[Any] | None] = {**adapter_tensors(rank, seed), **changes}
    write_safetensors(
        folder / "adapter_model.safetensors", {name: array for name, array in tensors.items() if array is not None}
    )
    return folder
