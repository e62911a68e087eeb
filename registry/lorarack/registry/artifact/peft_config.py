"""How a PEFT LoRA configuration applies its weights: ranks, scaling, and which modules its names and patterns mean.

Matching a pattern has a time limit: some patterns never end.
"""

import time
from collections.abc import Mapping
from functools import cached_property, lru_cache
from typing import Any, TypeVar

import regex
from pydantic import BaseModel, ConfigDict, Field, model_validator

from lorarack.registry.artifact.limits import MAX_PATTERN_CHARS, MAX_RANK, PATTERN_SECONDS, PATTERNS_SECONDS

#: Lists of the typed part; of the second kind one value alone means a list of it.
_SEQUENCES = frozenset({"target_modules", "exclude_modules", "layers_to_transform", "layers_pattern"})
_ONE_OR_MANY = frozenset({"layers_to_transform", "layers_pattern"})

#: Tables of patterns, of which the first that matches counts.
ORDERED = ("rank_pattern", "alpha_pattern")

#: What ``target_modules="all-linear"`` leaves out: embeddings, the output head, and a classifier in its place.
_NOT_LINEAR = frozenset({"embed_tokens", "wte", "embed_in", "lm_head", "embed_out", "score", "classifier"})

#: Modules whose adapters PEFT ties where ``ensure_weight_tying`` is set and the base ties them.
_TIED = frozenset({"embed_tokens", "lm_head"})

#: Full names or last parts of names; or one regular expression.
Names = frozenset[str] | str

T = TypeVar("T", int, float)


class TimeBudget:
    """Processor time of this thread that matching may take."""

    def __init__(self, seconds: float = PATTERNS_SECONDS) -> None:
        self._end = time.thread_time() + seconds

    def used_up(self) -> bool:
        """Whether it has passed."""
        return time.thread_time() > self._end

    def check(self) -> None:
        """Raise ``ValueError`` when it has passed."""
        if self.used_up():
            raise ValueError("its patterns take too long to match; write fewer or simpler ones")


class PeftConfig(BaseModel):
    """The part of a PEFT LoRA configuration that decides how the weights are applied."""

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
        return {key: value for key, value in part.items() if value or key not in ORDERED}

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
        """Whether PEFT would put the adapter on ``module``, a name in the base, when it loads the folder.

        These are the rules of PEFT's ``check_target_module_exists``. vLLM asks none of this: it applies every weight of the file.
        So a weight on a module that these rules leave out would be served by vLLM and not be loaded by PEFT.

        Raises:
            ValueError: a pattern is not a regular expression, or takes too long.
        """
        if self._takes(module):
            return True
        head, _, leaf = module.rpartition(".")
        if not self.ensure_weight_tying or leaf not in _TIED:
            return False
        places = (f"{place}.embed_tokens" for place in (head, "model") if place)
        return any(self._takes(name) for name in (*_TIED, *places))

    def _takes(self, module: str) -> bool:
        if self._excluded and _named(module, self._excluded):
            return False
        if isinstance(self._names, str):
            if self._names.lower() == "all-linear":
                return module.rpartition(".")[2] not in _NOT_LINEAR
            return matches_whole(self._names, module)
        if module in self._names:
            return True  # a full name counts whatever its layer is
        if not _named(module, self._names):
            return False
        return not self.layers_to_transform or self._layer(module) in self.layers_to_transform

    def _layer(self, module: str) -> int | None:
        found = (layer_number(name, module) for name in self.layers_pattern or (None,))
        return next((number for number in found if number is not None), None)

    @cached_property
    def _names(self) -> Names:
        return self.target_modules if isinstance(self.target_modules, str) else frozenset(self.target_modules)

    @cached_property
    def _excluded(self) -> Names:
        return self.exclude_modules if isinstance(self.exclude_modules, str) else frozenset(self.exclude_modules)


def matches(pattern: str, module: str) -> bool:
    """Whether PEFT's rule lets ``pattern`` name ``module``: as a regular expression, at a dot or the start, to the end.

    Raises:
        ValueError: not a regular expression, or one that takes too long.
    """
    return _match(rf"(.*\.)?({pattern})$", module, pattern) is not None


def matches_whole(pattern: str, module: str) -> bool:
    """Whether ``pattern`` names ``module`` from its start to its end, as ``target_modules`` does.

    Raises:
        ValueError: not a regular expression, or one that takes too long.
    """
    return _match(f"(?:{pattern})$", module, pattern) is not None


def layer_number(name: str | None, module: str) -> int | None:
    """The number of the layer that ``module`` is in.

    Args:
        name: a pattern for what the list of layers is called, as in ``layers_pattern``; without it the first number counts
            that stands between dots and has two names or more before it, as in PEFT.
        module: the module's name.

    Raises:
        ValueError: not a regular expression, or one that takes too long.
    """
    before = r".*?\.[^.]*" if name is None else rf"(?:^|.*?\.){name}"
    found = _match(rf"{before}\.(?P<layer>\d+)\.", module, name or "")
    return int(found["layer"]) if found else None


def first_match(patterns: Mapping[str, T], module: str, default: T, budget: TimeBudget | None = None) -> T:
    """The value of the first pattern that names ``module``, else ``default``; the order counts, as in PEFT and vLLM.

    Raises:
        ValueError: not a regular expression, or one that takes too long; or the time budget is used up.
    """
    budget = budget or TimeBudget()
    for pattern, value in patterns.items():
        budget.check()
        if matches(pattern, module):
            return value
    return default


@lru_cache(maxsize=8192)  # an adapter may name each module in a pattern of its own; `regex` itself remembers 500
def _compiled(expression: str) -> "regex.Pattern[str]":
    return regex.compile(expression)


def _match(expression: str, module: str, shown: str) -> "regex.Match[str] | None":
    if len(shown) > MAX_PATTERN_CHARS:
        raise ValueError(f"{shown[:80]!r}… is a pattern of {len(shown)} characters; {MAX_PATTERN_CHARS} are read")
    try:
        return _compiled(expression).match(module, timeout=PATTERN_SECONDS)
    except (regex.error, TimeoutError, RecursionError, MemoryError, OverflowError) as error:
        raise ValueError(f"{shown[:80]!r} is not a usable pattern") from error


def _named(module: str, names: Names) -> bool:
    if isinstance(names, str):
        return matches_whole(names, module)
    parts = module.split(".")
    return any(".".join(parts[start:]) in names for start in range(len(parts)))
