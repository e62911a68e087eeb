"""PEFT's ``add_weighted_adapter`` on adapters alone: the base's weights play no part in it and are not loaded."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model_state_dict, set_peft_model_state_dict

from lorarack.adapters.ranks.truncate import Truncation
from lorarack.adapters.ranks.weights import Factors, LoraWeights, factors_of, read_weights, tensors_of, write_weights
from lorarack.registry.errors import UsageError
from lorarack.registry.values import Base

_MERGED = "merged"


@dataclass(frozen=True, slots=True)
class MergePlan:
    """How to merge; ``rank`` is for methods that end in ``svd``."""

    method: str
    weights: Sequence[float]
    rank: int | None
    density: float
    seed: int


def merge_folders(folders: Sequence[Path], subjects: Sequence[str], base: Base, plan: MergePlan) -> Path:
    """Merge the PEFT folders into one beside them; its path.

    Args:
        folders: the adapters.
        subjects: what to call each in a sentence.
        base: the base of all of them.
        plan: how.

    Raises:
        InvalidArtifact: an adapter has more than A and B.
        UsageError: PEFT cannot merge what these adapters target, or not at this rank.
    """
    adapters = [read_weights(folder, subject) for folder, subject in zip(folders, subjects, strict=True)]
    _check(adapters, subjects, plan.method)
    if plan.method.endswith("_svd"):
        _check_rank(adapters, base, plan.rank)
    merged = folders[0].parent / _MERGED
    write_weights(_merge(adapters, base, plan), merged)
    return merged


def _check(adapters: Sequence[LoraWeights], subjects: Sequence[str], method: str) -> None:
    for adapter, subject in zip(adapters, subjects, strict=True):
        if adapter.applied.rank_pattern and method not in ("cat", "svd") and not method.endswith("_svd"):
            raise UsageError(f"{subject} has a rank_pattern, so its modules' ranks differ; use method 'cat' or 'svd'.")
    kinds = {isinstance(adapter.config["target_modules"], str) for adapter in adapters}
    if len(kinds) > 1:
        raise UsageError(
            "Some of these versions name their target_modules one by one and others by a pattern; PEFT merges one kind."
        )


def _check_rank(adapters: Sequence[LoraWeights], base: Base, rank: int | None) -> None:
    """Such a method cuts whole matrices to the rank, and the smallest of them has no more than its shorter side."""
    sides = {module: min(base.modules[module]) for adapter in adapters for module in adapter.factors}
    smallest = min(sides, key=lambda module: sides[module])
    wanted = rank or max(adapter.rank for adapter in adapters)
    if wanted > sides[smallest]:
        raise UsageError(
            f"The merged version cannot have rank {wanted}: module {smallest!r} of base {base.name!r} has rank "
            f"{sides[smallest]} at most; give --rank {sides[smallest]} or less.",
            code="rank_too_high",
        )


def _merge(adapters: Sequence[LoraWeights], base: Base, plan: MergePlan) -> LoraWeights:
    """``svd`` is ``cat``, which is exact, cut to the rank: the same product as PEFT's, without a dense matrix."""
    exact = plan.method == "svd"
    model = _model(adapters, base)
    torch.manual_seed(plan.seed)
    try:
        model.base_model.add_weighted_adapter(
            [str(place) for place in range(len(adapters))],
            list(plan.weights),
            _MERGED,
            combination_type="cat" if exact else plan.method,
            svd_rank=plan.rank,
            svd_full_matrices=False,
            density=plan.density,
        )
    except (ValueError, TypeError, RuntimeError) as error:  # what PEFT finds about the combination
        raise UsageError(f"PEFT cannot merge these versions: {str(error).splitlines()[0]}") from error
    factors = factors_of(get_peft_model_state_dict(model, adapter_name=_MERGED, save_embedding_layers=False))
    whole = LoraWeights(_config(adapters[0], model.peft_config[_MERGED], factors), factors)
    return Truncation(whole).at(plan.rank or max(adapter.rank for adapter in adapters)) if exact else whole


def _model(adapters: Sequence[LoraWeights], base: Base) -> PeftModel:
    """A PEFT model with all adapters, on modules of the right shapes that take no memory."""
    skeleton = torch.nn.Module()
    for adapter in adapters:
        for module, found in adapter.factors.items():
            _place(skeleton, module, _module(base.modules[module], found))
    model: Any = None
    for place, adapter in enumerate(adapters):
        config = LoraConfig(**{key: value for key, value in adapter.config.items() if key in _KEYS})
        if model is None:
            model = PeftModel(skeleton, config, str(place), autocast_adapter_dtype=False)
        else:
            model.add_adapter(str(place), config)
        set_peft_model_state_dict(model, tensors_of(adapter.factors), adapter_name=str(place))
        config.use_rslora = (
            False  # the merged one copies the first's configuration, with an alpha that means a scaling of 1
        )
    return model


def _place(skeleton: torch.nn.Module, name: str, module: torch.nn.Module) -> None:
    *path, last = name.split(".")
    inner = skeleton
    for part in path:
        if not hasattr(inner, part):
            inner.add_module(part, torch.nn.Module())
        inner = getattr(inner, part)
    inner.add_module(last, module)


def _module(shape: tuple[int, int], found: Factors) -> torch.nn.Module:
    kind = torch.nn.Embedding if found.embedding else torch.nn.Linear
    first, second = shape if found.embedding else reversed(shape)
    module = kind(first, second, device="meta", **({} if found.embedding else {"bias": False}))
    module.weight = torch.nn.Parameter(torch.zeros(1, dtype=found.a.dtype).expand(shape), requires_grad=False)
    return module


def _config(first: LoraWeights, made: Any, factors: dict[str, Factors]) -> dict[str, Any]:
    targets = made.target_modules if isinstance(made.target_modules, str) else sorted(made.target_modules)
    plain = {"r": made.r, "lora_alpha": made.lora_alpha, "target_modules": targets, "use_rslora": False}
    return {**first.config, **plain, "rank_pattern": {}, "alpha_pattern": {}}


#: What decides where PEFT puts an adapter and how it scales it.
_KEYS = (
    "r", "lora_alpha", "target_modules", "exclude_modules", "layers_to_transform", "layers_pattern", "rank_pattern",
    "alpha_pattern", "use_rslora",
)  # fmt: skip
