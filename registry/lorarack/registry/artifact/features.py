"""Which features of PEFT's LoRA are served as they were trained, told from the keys of ``adapter_config.json``.

PEFT and vLLM both drop keys that they do not know. A version must be served as it was trained, so a key that is set must
be known: as one that says nothing about a finished adapter's function, or as a feature that the pinned vLLM applies. Both
lists are for PEFT 0.21 against vLLM 0.32 (``vllm/lora/peft_helper.py``), held by tests.
"""

from collections.abc import Mapping
from typing import Any

#: Keys of the typed part, judged by their values elsewhere.
_JUDGED = frozenset({
    "peft_type", "r", "lora_alpha", "use_rslora", "rank_pattern", "alpha_pattern", "target_modules", "exclude_modules",
    "layers_to_transform", "layers_pattern", "init_lora_weights", "bias", "modules_to_save", "ensure_weight_tying",
})  # fmt: skip

#: PEFT's keys that say how it was trained or written, not what it is. Settings of an initialisation count only through
#: ``init_lora_weights``; VeLoRA changes the backward pass, and MonteCLoRA draws noise, only while training.
_HARMLESS = frozenset({
    "auto_mapping", "base_model_name_or_path", "revision", "inference_mode", "peft_version", "task_type", "lora_dropout",
    "megatron_core", "megatron_config", "qalora_group_size", "runtime_config",
    "eva_config", "corda_config", "loftq_config", "lora_ga_config", "velora_config", "monteclora_config",
})  # fmt: skip

#: Keys that other programs write beside PEFT's. PEFT drops them with a warning, vLLM without one.
_FOREIGN = frozenset({
    "model_type", "_name_or_path", "model_name_or_path", "_commit_hash", "architectures", "transformers_version",
    "torch_dtype", "dtype", "unsloth_version", "unsloth_fixed", "swift_type", "lora_dtype", "lorap_lr_ratio",
    "lorap_emb_lr", "use_gradient_checkpointing", "random_state", "max_seq_length",
    "_attn_implementation", "attn_implementation", "_attn_implementation_autoset",
})  # fmt: skip

#: Feature by key: why the pinned vLLM would not serve it as trained.
_REFUSED = {
    "use_dora": "DoRA is not served by vLLM; train with use_dora=False",
    "lora_bias": "a LoRA bias is not served by vLLM; train with lora_bias=False",
    "alora_invocation_tokens": "activated LoRA (aLoRA) is not served by vLLM; train a plain LoRA",
    "layer_replication": "layer_replication is not served by vLLM; train without it",
    "use_bdlora": "block-diagonal LoRA is not served by vLLM; train a plain LoRA",
    "use_qalora": "QALoRA is not served by vLLM; train with use_qalora=False",
    "trainable_token_indices": "trained token embeddings are not served by vLLM; train without trainable_token_indices",
    "target_parameters": "target_parameters is not served by lorarack; target modules instead",
    "fan_in_fan_out": "fan_in_fan_out weights are transposed, which vLLM does not undo; train on linear layers",
    "kasa_config": "KaSA changes the base's weights and scales between A and B, which vLLM does not; train a plain LoRA",
    "arrow_config": "Arrow routes each token among several adapters, which vLLM does not; publish each of them by itself",
    "enable_lora": "enable_lora splits a fused layer as PEFT did before 0.4; load and save the adapter with a newer PEFT",
}

#: Blocks of settings that switch their feature on in PEFT even when they are empty.
_ON_WHEN_EMPTY = frozenset({"use_bdlora", "kasa_config", "arrow_config"})

#: Initialisations that only say where A and B began; PEFT reads the first in any case of letters, the second as they stand.
_PLAIN_INITS = frozenset({"gaussian", "mica"})
_PLAIN_INITS_AS_WRITTEN = frozenset({"eva", "orthogonal"})

#: Initialisations that take a part out of the base's weights; PEFT can turn what came of them into a plain LoRA.
_CONVERTIBLE = {"pissa": "PiSSA", "corda": "CorDA", "olora": "OLoRA", "lora_ga": "LoRA-GA"}


def feature_problems(config: Mapping[str, Any]) -> list[str]:
    """Why an adapter with this configuration would not be served as it was trained; empty when nothing is in the way."""
    problems = [why for key, why in _REFUSED.items() if _is_on(key, config.get(key))]
    if config.get("bias", "none") != "none":
        problems.append(f"a bias ({_text(config['bias'])}) is not served by vLLM; train with bias='none'")
    if config.get("modules_to_save"):
        problems.append(_whole_modules(config["modules_to_save"]))
    if init := _init_problem(config.get("init_lora_weights", True)):
        problems.append(init)
    known = _JUDGED | _HARMLESS | _FOREIGN | _REFUSED.keys()
    problems.extend(
        f"adapter_config.json sets {key[:60]!r}, which lorarack does not know; it may not be served as trained, as PEFT 0.21 and "
        "vLLM 0.32 drop it. Where the weights do not depend on it, remove the key"
        for key, value in sorted(config.items())
        if key not in known and not _is_off(value)
    )
    return problems


def _is_on(key: str, value: Any) -> bool:
    return value not in (None, False) if key in _ON_WHEN_EMPTY else bool(value)


def _is_off(value: Any) -> bool:
    """Whether an unknown key says nothing: off or empty, or a block of settings that are all off or empty."""
    off: tuple[Any, ...] = (None, False, "", 0, [], {})
    return all(inner in off for inner in value.values()) if isinstance(value, dict) else value in off


def _whole_modules(value: Any) -> str:
    names = [name[:40] for name in value[:3] if isinstance(name, str)] if isinstance(value, list) else []
    shown = f" ({', '.join(names)})" if names else ""
    problem = f"modules_to_save keeps whole trained modules{shown}, which are not served; train without it"
    if any(name.rpartition(".")[2] in ("embed_tokens", "lm_head") for name in names):
        problem += ", with embed_tokens and lm_head among target_modules: LoRA on these is served"
    return problem


def _init_problem(init: Any) -> str | None:
    """The field that decides: converting writes ``true`` here and leaves the other settings as they were."""
    if init is None or isinstance(init, bool):
        return None
    if not isinstance(init, str):
        return f"init_lora_weights is {_text(init)}; it is true, false or the name of an initialisation"
    name = init.lower().replace("-", "_")
    if init.lower() in _PLAIN_INITS or init in _PLAIN_INITS_AS_WRITTEN:
        return None
    called = next((called for begin, called in _CONVERTIBLE.items() if name.startswith(begin)), None)
    if called is not None:
        return (
            f"init_lora_weights={init[:20]!r} changes the base's weights; convert the {called} adapter with PEFT's "
            "save_pretrained(path_initial_model_for_weight_conversion=START), START being the adapter as it was saved before "
            "training"
        )
    if name == "loftq":
        return (
            "init_lora_weights='loftq' changes the base's weights to quantised ones, which the adapter alone cannot undo; save "
            "that base, add it with 'lorarack base add', set init_lora_weights to true in adapter_config.json, and publish on it"
        )
    return (
        f"init_lora_weights={init[:20]!r} is no initialisation that PEFT 0.21 knows, so it cannot be told whether it changes the "
        "base's weights; where it does not, set it to true in adapter_config.json"
    )


def _text(value: Any) -> str:
    return repr(value[:20]) if isinstance(value, str) else f"a {type(value).__name__}"
