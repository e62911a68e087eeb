"""``adapter_config.json``: read, judged by what is served as it was trained, and the form in which it is stored.

PEFT and vLLM both drop keys that they do not know. A version must be served as it was trained, so a key that is set must
be known: as one that says nothing about a finished adapter's function, or as a feature that the pinned vLLM applies. Both
lists are for PEFT 0.21 against vLLM 0.32 (``vllm/lora/peft_helper.py``), held by tests.
"""

import json
import math
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from lorarack.registry.artifact.limits import MAX_PATTERNS, MAX_RANK
from lorarack.registry.artifact.manifest import CONFIG
from lorarack.registry.artifact.other_formats import method_problem, other_kind
from lorarack.registry.artifact.peft_config import ORDERED, PeftConfig, TimeBudget, layer_number, matches

#: The base's business, not the adapter's: PEFT writes a machine's path there.
BASE_KEYS = ("base_model_name_or_path", "revision")

#: Lists whose order and repetitions mean nothing; PEFT writes them from sets, in hash order.
_SET_LIKE = frozenset({"target_modules", "exclude_modules", "modules_to_save", "layers_to_transform"})

_SHOWN = 3  # bad patterns named
_ANY_MODULE = "model.layers.0.self_attn.q_proj"

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


def parse_config(raw: bytes) -> tuple[PeftConfig | None, dict[str, Any], list[str]]:
    """Parse and check ``adapter_config.json``.

    Returns:
        The typed part (None when there is a problem), the whole object as it stands, and every problem found.
    """
    data = _parsed(raw)
    if not isinstance(data, dict):
        what = other_kind(raw) or (
            f"is not {'JSON' if data is None else 'a JSON object'}; save the adapter again with PEFT's save_pretrained"
        )
        return None, {}, [f"{CONFIG} {what}"]
    if data.get("peft_type") != "LORA":
        return None, data, [method_problem(data)]
    problems = feature_problems(data)
    config, mistyped = _typed(data)
    problems.extend(mistyped)
    if config is not None:
        problems.extend(_layer_problems(data))
        problems.extend(_pattern_problems(config))
    return (None if problems else config), data, problems


def applied_config(raw: bytes) -> PeftConfig | None:
    """The typed part of a stored configuration, which older rules may have accepted; None if it cannot be read."""
    data = _parsed(raw)
    return _typed(data)[0] if isinstance(data, dict) else None


def _parsed(raw: bytes) -> Any:
    try:
        return json.loads(raw, parse_constant=_no_constants, parse_float=_finite)
    except (ValueError, RecursionError):
        return None


def _typed(data: dict[str, Any]) -> tuple[PeftConfig | None, list[str]]:
    try:
        return PeftConfig.model_validate(data), []
    except ValidationError as error:
        found = {".".join(map(str, problem["loc"][:2])): problem["msg"] for problem in error.errors()}
        return None, [f"{CONFIG}: {place}: {message}" for place, message in found.items()]


def _no_constants(text: str) -> float:
    raise ValueError(f"{text} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:20]} is too large")
    return number


def canonical_config(data: dict[str, Any]) -> bytes:
    """The bytes that are stored: keys and set-like lists sorted, without the base's own keys.

    Keys inside ``rank_pattern`` and ``alpha_pattern`` keep their order: of these the first that matches counts.
    """
    kept = {key: _canonical(key, data[key]) for key in sorted(data) if key not in BASE_KEYS}
    return json.dumps(kept, separators=(",", ":")).encode()


def config_for_base(canonical: bytes, base_id: str, revision: str | None) -> bytes:
    """The configuration as it leaves the registry: readable, with the base's id filled in again."""
    data = json.loads(canonical)
    data["base_model_name_or_path"] = base_id
    data["revision"] = revision
    return (json.dumps(dict(sorted(data.items())), indent=2) + "\n").encode()


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


def _layer_problems(data: dict[str, Any]) -> list[str]:
    """What PEFT refuses to load."""
    given = [key for key in ("layers_to_transform", "layers_pattern") if data.get(key) is not None]
    if given and isinstance(data.get("target_modules"), str):
        return [
            f"{given[0]} stands beside a pattern in target_modules, which PEFT refuses; write the layers into the pattern"
        ]
    if data.get("layers_pattern") and data.get("layers_to_transform") is None:
        return ["layers_pattern stands without layers_to_transform, which PEFT refuses; remove it"]
    return []


def _pattern_problems(config: PeftConfig) -> list[str]:
    problems = []
    patterns = list({**config.rank_pattern, **config.alpha_pattern})
    if len(patterns) > MAX_PATTERNS:
        return [f"rank_pattern and alpha_pattern have more than {MAX_PATTERNS} patterns; write fewer"]
    budget = TimeBudget()
    for pattern in patterns:
        try:
            matches(pattern, _ANY_MODULE)
        except ValueError as error:
            problems.append(f"rank_pattern or alpha_pattern: {error}")
        if budget.used_up() or len(problems) == _SHOWN:
            break
    try:
        config.targets(_ANY_MODULE)
        for name in config.layers_pattern[:MAX_PATTERNS]:
            layer_number(name, _ANY_MODULE)
    except ValueError as error:
        problems.append(f"target_modules, exclude_modules or layers_pattern: {error}")
    bad = [rank for rank in config.rank_pattern.values() if not 1 <= rank <= MAX_RANK]
    if bad:
        problems.append(f"rank_pattern has rank {bad[0]}; ranks are 1 to {MAX_RANK}")
    if config.lora_alpha == 0 and not any(config.alpha_pattern.values()):
        problems.append("lora_alpha is 0, so the adapter changes nothing")
    return problems


def _canonical(key: str, value: Any) -> Any:
    if key in _SET_LIKE and isinstance(value, list):
        distinct = {(str(type(item)), str(item)): item for item in value}
        return [distinct[key] for key in sorted(distinct)]
    return value if key in ORDERED else _sorted_keys(value)


def _sorted_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted_keys(value[key]) for key in sorted(value)}
    return [_sorted_keys(item) for item in value] if isinstance(value, list) else value
