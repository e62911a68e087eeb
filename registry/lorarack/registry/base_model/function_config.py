"""The part of ``config.json`` that the function of a model depends on, in one form for all its spellings.

Everything counts but what is listed here: an unknown key makes another base, which can be linked to its original,
where a key wrongly left out would let garbage pass under an old fingerprint.
"""

import json
import re
from functools import cache
from importlib.resources import files
from typing import Any

#: Keys that say nothing about which numbers come out for which tokens.
_WITHOUT_EFFECT = frozenset({
    # where it lies and what wrote it
    "_name_or_path", "name_or_path", "_commit_hash", "transformers_version", "unsloth_version", "unsloth_fixed", "model_name",
    # in which numbers and with which kernels it is computed: the loader's choice; how weights are stored is seen in them
    "torch_dtype", "dtype", "use_cache", "attn_implementation", "_attn_implementation", "_attn_implementation_autoset",
    "_attn_implementation_internal", "_flash_attn_2_enabled", "use_flash_attn", "use_flash_attention", "torchscript",
    "pretraining_tp", "chunk_size_feed_forward", "gradient_checkpointing", "use_bfloat16",
    # what a call returns beside the logits
    "output_attentions", "output_hidden_states", "return_dict", "use_return_dict", "output_router_logits",
    # training only
    "initializer_range", "initializer_factor", "init_std", "router_aux_loss_coef", "router_z_loss_coef", "aux_loss_alpha",
    "seq_aux", "router_jitter_noise", "input_jitter_noise",
    # names of labels
    "id2label", "label2id", "num_labels", "problem_type", "finetuning_task", "task_specific_params",
    # where an answer begins and ends, and how it is sampled: settings of generation, also kept in generation_config.json
    "bos_token_id", "eos_token_id", "pad_token_id", "sep_token_id", "cls_token_id", "decoder_start_token_id",
    "forced_bos_token_id", "forced_eos_token_id", "temperature", "top_k", "top_p", "typical_p", "do_sample", "num_beams",
    "num_beam_groups", "diversity_penalty", "max_length", "min_length", "max_new_tokens", "repetition_penalty",
    "encoder_no_repeat_ngram_size", "length_penalty", "no_repeat_ngram_size", "early_stopping", "num_return_sequences",
    "bad_words_ids", "suppress_tokens", "begin_suppress_tokens", "remove_invalid_values", "exponential_decay_length_penalty",
})  # fmt: skip
_DROPOUT = re.compile(r"(^|_)(dropout|pdrop|drop_prob|drop_path_rate)$|dropout_(prob|rate|p)$|^layerdrop$|_layerdrop$")
_ROPE = ("rope_theta", "rope_scaling", "rope_parameters", "partial_rotary_factor")
#: Settings of a sliding window that is switched off.
_WINDOW = ("sliding_window", "max_window_layers", "layer_types")


def function_config(config: dict[str, Any]) -> dict[str, Any]:
    """What ``config`` says about the function: no defaults, no other spellings, sorted by nothing (hash it with sorted keys)."""
    kept = _normal(config, str(config.get("model_type", "")))
    names = config.get("architectures")
    if isinstance(names, list):
        kept["architectures"] = names[:1]
    return kept


def _normal(config: dict[str, Any], model_type: str) -> dict[str, Any]:
    defaults = _defaults_of(model_type)
    idle = _WINDOW if defaults.get("use_sliding_window") is False and not config.get("use_sliding_window") else ()
    found: dict[str, Any] = {}
    for key, value in config.items():
        if key in _WITHOUT_EFFECT or key in _ROPE or key in idle or _DROPOUT.search(key):
            continue
        if value is None and defaults and key not in defaults:  # null is the default of what has no other
            continue
        if isinstance(value, dict) and key.endswith("_config") and key != "quantization_config":
            value = _normal(value, str(value.get("model_type") or f"{model_type}.{key}"))
            value.pop("architectures", None)
        else:
            value = _plain(value)
        if key == "auto_map" and isinstance(value, dict):
            value = {name: _without_repository(path) for name, path in value.items()}
        if key == "model_type" or key not in defaults or value != defaults[key]:
            found[key] = value
    _leave_out_derived(found)
    if rope := _rope(config, defaults):
        found["rope"] = rope
    return found


def _leave_out_derived(found: dict[str, Any]) -> None:
    """Fields that a loader would fill in by itself with this very value."""
    heads, width = found.get("num_attention_heads"), found.get("hidden_size")
    if heads and found.get("num_key_value_heads") == heads:
        del found["num_key_value_heads"]
    if isinstance(heads, int) and isinstance(width, int) and heads and found.get("head_dim") == width // heads:
        del found["head_dim"]


def _rope(config: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """Rotary embeddings: ``rope_parameters``, or ``rope_theta`` and ``rope_scaling`` as before transformers 5."""
    rope: dict[str, Any] = {}
    for key in ("rope_scaling", "rope_parameters"):
        given = config.get(key)
        if isinstance(given, dict):
            rope |= {name: _plain(value) for name, value in given.items() if value is not None}
    for key in ("rope_theta", "partial_rotary_factor"):
        if config.get(key) is not None:
            rope.setdefault(key, _plain(config[key]))
    old_name = rope.pop("type", None)
    rope.setdefault("rope_type", old_name or "default")
    if rope["rope_type"] in (
        "default",
        "mrope",
    ):  # qwen2-vl's first files say mrope, which is the default with sections
        del rope["rope_type"]
    theta = defaults.get("rope_theta", 10000)
    if rope.get("rope_theta") == theta:
        del rope["rope_theta"]
    if rope.get("original_max_position_embeddings") == config.get("original_max_position_embeddings", 0):
        del rope["original_max_position_embeddings"]
    return rope


def _plain(value: Any) -> Any:
    """One form for numbers: 10000.0 is 10000."""
    match value:
        case float() if value.is_integer():
            return int(value)
        case dict():
            return {key: _plain(item) for key, item in value.items()}
        case list():
            return [_plain(item) for item in value]
    return value


def _without_repository(path: Any) -> Any:
    """Custom code is named ``ORG/REPO--module.Class`` in a copy."""
    return path.rpartition("--")[2] if isinstance(path, str) else path


def _defaults_of(model_type: str) -> dict[str, Any]:
    """transformers' own defaults, kept as data so that torch is not needed.

    By key, for a ``model_type``, or ``TYPE.KEY`` for the nested configuration under KEY; empty for an unknown one.
    """
    found = _table().get(model_type, {})
    return found if isinstance(found, dict) else {}


@cache
def _table() -> dict[str, Any]:
    data: dict[str, Any] = json.loads(
        files("lorarack.registry.base_model").joinpath("config_defaults.json").read_text()
    )
    return dict(data["defaults"])
