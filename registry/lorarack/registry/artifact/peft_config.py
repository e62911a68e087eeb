"""``adapter_config.json``: the part that says how the weights are applied, and the form in which it is stored."""

import json
import math
from functools import cached_property
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lorarack.registry.artifact.features import feature_problems
from lorarack.registry.artifact.limits import MAX_PATTERNS, MAX_RANK
from lorarack.registry.artifact.magic import other_kind
from lorarack.registry.artifact.manifest import CONFIG
from lorarack.registry.artifact.methods import method_problem
from lorarack.registry.artifact.patterns import TimeBudget, first_match, layer_number, matches
from lorarack.registry.artifact.targets import Targets

#: The base's business, not the adapter's: PEFT writes a machine's path there.
BASE_KEYS = ("base_model_name_or_path", "revision")

#: Lists whose order and repetitions mean nothing; PEFT writes them from sets, in hash order.
_SET_LIKE = frozenset({"target_modules", "exclude_modules", "modules_to_save", "layers_to_transform"})

#: Lists of the typed part; of the second kind one value alone means a list of it.
_SEQUENCES = frozenset({"target_modules", "exclude_modules", "layers_to_transform", "layers_pattern"})
_ONE_OR_MANY = frozenset({"layers_to_transform", "layers_pattern"})

#: Tables of patterns, of which the first that matches counts.
_ORDERED = ("rank_pattern", "alpha_pattern")

_SHOWN = 3  # bad patterns named
_ANY_MODULE = "model.layers.0.self_attn.q_proj"


class PeftConfig(BaseModel):
    """The part of a PEFT LoRA configuration that says how the weights are applied."""

    model_config = ConfigDict(frozen=True, strict=True)

    r: int = Field(ge=1, le=MAX_RANK)
    lora_alpha: float = Field(allow_inf_nan=False)
    target_modules: tuple[str, ...] | str
    use_rslora: bool = False
    rank_pattern: dict[str, int] = Field(default_factory=dict)
    alpha_pattern: dict[str, float] = Field(default_factory=dict)
    exclude_modules: tuple[str, ...] | str = ()
    layers_to_transform: tuple[int, ...] = ()
    layers_pattern: tuple[str, ...] = ()
    ensure_weight_tying: bool = False

    @model_validator(mode="before")
    @classmethod
    def _as_written(cls, data: Any) -> Any:
        """PEFT writes null for what is off, lists for tuples, and lets one value stand for a list of it."""
        if not isinstance(data, dict):
            return data
        part = {key: data[key] for key in cls.model_fields if data.get(key) is not None}
        for key in _SEQUENCES & part.keys():
            if key in _ONE_OR_MANY and not isinstance(part[key], list | tuple):
                part[key] = [part[key]] if part[key] != "" else []
            if isinstance(part[key], list):
                part[key] = tuple(part[key])
        return {key: value for key, value in part.items() if value or key not in _ORDERED}

    def rank_of(self, module: str) -> int:
        """The rank that PEFT gives ``module``: the first matching key of ``rank_pattern``, else ``r``."""
        return first_match(self.rank_pattern, module, self.r)

    def alpha_of(self, module: str) -> float:
        """The alpha that PEFT gives ``module``: the first matching key of ``alpha_pattern``, else ``lora_alpha``."""
        return first_match(self.alpha_pattern, module, self.lora_alpha)

    def scaling_of(self, module: str, rank: int, budget: TimeBudget | None = None) -> float:
        """What B·A of ``module`` is multiplied by.

        Raises:
            ValueError: a pattern is none, or ``budget`` is used up.
        """
        alpha = first_match(self.alpha_pattern, module, self.lora_alpha, budget)
        return alpha / (rank**0.5 if self.use_rslora else rank)

    def targets(self, module: str) -> bool:
        """Whether PEFT would put the adapter on ``module`` when it loads the folder.

        Raises:
            ValueError: a pattern is not a regular expression, or takes too long.
        """
        return self._targets.takes(module)

    @cached_property
    def _targets(self) -> Targets:
        names, excluded = (
            value if isinstance(value, str) else frozenset(value)
            for value in (self.target_modules, self.exclude_modules)
        )
        layers = frozenset(self.layers_to_transform)
        return Targets(names, excluded, layers, self.layers_pattern, self.ensure_weight_tying)


def parse_config(raw: bytes) -> tuple[PeftConfig | None, dict[str, Any], list[str]]:
    """Parse ``adapter_config.json`` and judge what it says.

    Returns:
        The typed part (None when there is a problem), the whole object as it stands, and every problem found.
    """
    if other := other_kind(raw):
        return None, {}, [f"{CONFIG} {other}"]
    data = _parsed(raw)
    if not isinstance(data, dict):
        what = "JSON" if data is None else "a JSON object"
        return None, {}, [f"{CONFIG} is not {what}; save the adapter again with PEFT's save_pretrained"]
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
    return value if key in _ORDERED else _sorted_keys(value)


def _sorted_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted_keys(value[key]) for key in sorted(value)}
    return [_sorted_keys(item) for item in value] if isinstance(value, list) else value
