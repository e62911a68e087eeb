"""``adapter_config.json``: which PEFT features lorarack accepts, and the configuration's canonical form.

PEFT and vLLM both drop what they do not know. A version must be served as it was trained, so here an unknown key with a
meaning is refused: the lists below are an allow-list for PEFT 0.21 against what vLLM 0.32 applies
(``vllm/lora/peft_helper.py``).
"""

import json
import math
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lorarack.registry.artifact.limits import MAX_PATTERNS, MAX_RANK
from lorarack.registry.artifact.patterns import Patience, first_match, matches, matches_whole

#: The base's business, not the adapter's: PEFT writes a machine's path there.
BASE_KEYS = ("base_model_name_or_path", "revision")

#: Lists whose order means nothing; PEFT writes them from sets, in hash order.
_SET_LIKE = ("target_modules", "exclude_modules", "modules_to_save", "layers_to_transform")

#: Tables of patterns, of which the first that matches counts.
_ORDERED = ("rank_pattern", "alpha_pattern")

#: Keys that change nothing about a finished adapter's weights or how they are applied.
_HARMLESS = frozenset({
    "auto_mapping", "base_model_name_or_path", "revision", "inference_mode", "peft_type", "peft_version", "task_type",
    "r", "lora_alpha", "lora_dropout", "target_modules", "exclude_modules", "layers_to_transform", "layers_pattern",
    "rank_pattern", "alpha_pattern", "use_rslora", "init_lora_weights", "bias", "modules_to_save",
    "megatron_core", "eva_config", "lora_ga_config", "qalora_group_size",
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
}

_SHOWN = 3  # bad patterns named
_ANY_MODULE = "model.layers.0.self_attn.q_proj"

_PLAIN_INITS = frozenset({"gaussian", "eva", "orthogonal", "mica", "lora_ga"})


class PeftConfig(BaseModel):
    """The part of a PEFT LoRA configuration that says how the weights are applied."""

    model_config = ConfigDict(frozen=True, strict=True)

    r: int = Field(ge=1, le=MAX_RANK)
    lora_alpha: float = Field(allow_inf_nan=False)
    target_modules: tuple[str, ...] | str
    use_rslora: bool = False
    rank_pattern: dict[str, int] = Field(default_factory=dict)
    alpha_pattern: dict[str, float] = Field(default_factory=dict)

    def rank_of(self, module: str) -> int:
        """The rank that PEFT gives ``module``: the first matching key of ``rank_pattern``, else ``r``."""
        return first_match(self.rank_pattern, module, self.r)

    def alpha_of(self, module: str) -> float:
        """The alpha that PEFT gives ``module``: the first matching key of ``alpha_pattern``, else ``lora_alpha``."""
        return first_match(self.alpha_pattern, module, self.lora_alpha)

    def targets(self, module: str) -> bool:
        """Whether PEFT would put the adapter on ``module`` when it loads the folder."""
        if isinstance(self.target_modules, str):
            return self.target_modules == "all-linear" or matches_whole(self.target_modules, module)
        return any(module == target or module.endswith(f".{target}") for target in self.target_modules)


def parse_config(raw: bytes) -> tuple[PeftConfig | None, dict[str, Any], list[str]]:
    """Parse ``adapter_config.json``.

    Returns:
        The typed part (None when it cannot be had), the whole object as it stands, and every problem found.
    """
    try:
        data = json.loads(raw, parse_constant=_no_constants, parse_float=_finite)
    except (ValueError, RecursionError):
        return None, {}, ["adapter_config.json is not JSON; save the adapter again with PEFT's save_pretrained"]
    if not isinstance(data, dict):
        return (
            None,
            {},
            ["adapter_config.json is not a JSON object; save the adapter again with PEFT's save_pretrained"],
        )
    if data.get("peft_type") != "LORA":
        found = data.get("peft_type")
        named = repr(found[:40]) if isinstance(found, str) else "missing"
        return None, data, [f"its peft_type is {named}; only LORA adapters are served"]
    problems = _feature_problems(data)
    try:
        config = PeftConfig.model_validate(_typed_part(data))
    except ValidationError as error:
        for found in error.errors():
            problems.append(f"adapter_config.json: {'.'.join(map(str, found['loc'][:2]))}: {found['msg']}")
        return None, data, problems
    problems.extend(_pattern_problems(config))
    return (None if problems else config), data, problems


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


def _typed_part(data: dict[str, Any]) -> dict[str, Any]:
    part = {key: data[key] for key in PeftConfig.model_fields if data.get(key) is not None}
    if isinstance(part.get("target_modules"), list):
        part["target_modules"] = tuple(part["target_modules"])
    for key in ("rank_pattern", "alpha_pattern"):
        if not part.get(key):
            part.pop(key, None)
    return part


def _feature_problems(data: dict[str, Any]) -> list[str]:
    problems = [why for key, why in _REFUSED.items() if data.get(key)]
    if data.get("bias", "none") != "none":
        problems.append(f"a bias ({_text(data['bias'])}) is not served by vLLM; train with bias='none'")
    if data.get("modules_to_save"):
        problems.append("modules_to_save keeps whole trained modules, which are not served; train without it")
    init = data.get("init_lora_weights", True)
    if isinstance(init, str) and init.lower() not in _PLAIN_INITS:
        problems.append(
            f"init_lora_weights={init[:20]!r} changes the base's weights; convert the adapter with PEFT's "
            "save_pretrained(path_initial_model_for_weight_conversion=…)"
        )
    known = _HARMLESS | _REFUSED.keys()
    problems.extend(
        f"adapter_config.json sets {key[:60]!r}, which lorarack does not know; it may not be served as trained"
        for key, value in sorted(data.items())
        if key not in known and not _is_default(value)
    )
    return problems


def _text(value: Any) -> str:
    return repr(value[:20]) if isinstance(value, str) else f"a {type(value).__name__}"


def _is_default(value: Any) -> bool:
    """Whether an unknown key says nothing: off or empty, or a block of settings that are all off or empty."""
    off: tuple[Any, ...] = (None, False, "", 0, [], {})
    return all(inner in off for inner in value.values()) if isinstance(value, dict) else value in off


def _pattern_problems(config: PeftConfig) -> list[str]:
    problems = []
    patterns = list({**config.rank_pattern, **config.alpha_pattern})
    if len(patterns) > MAX_PATTERNS:
        return [f"rank_pattern and alpha_pattern have more than {MAX_PATTERNS} patterns; write fewer"]
    patience = Patience()
    for pattern in patterns:
        try:
            matches(pattern, _ANY_MODULE)
        except ValueError as error:
            problems.append(f"rank_pattern or alpha_pattern: {error}")
        if patience.used_up() or len(problems) == _SHOWN:
            break
    try:
        config.targets(_ANY_MODULE)
    except ValueError as error:
        problems.append(f"target_modules: {error}")
    bad = [rank for rank in config.rank_pattern.values() if not 1 <= rank <= MAX_RANK]
    if bad:
        problems.append(f"rank_pattern has rank {bad[0]}; ranks are 1 to {MAX_RANK}")
    if config.lora_alpha == 0 and not any(config.alpha_pattern.values()):
        problems.append("lora_alpha is 0, so the adapter changes nothing")
    return problems


def _canonical(key: str, value: Any) -> Any:
    if key in _SET_LIKE and isinstance(value, list):
        return sorted(value, key=lambda item: (str(type(item)), str(item)))
    return value if key in _ORDERED else _sorted_keys(value)


def _sorted_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted_keys(value[key]) for key in sorted(value)}
    return [_sorted_keys(item) for item in value] if isinstance(value, list) else value
