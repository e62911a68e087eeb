"""The base model in memory, and a fresh adapter on it."""

import os
from collections.abc import Sequence
from typing import Any

import torch
from peft import LoraConfig, TaskType, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from lorarack.adapters.recipe import Recipe
from lorarack.registry.errors import EngineError
from lorarack.registry.values import Base


def use_all_cores() -> None:
    """Let torch use every core that this process may run on."""
    torch.set_num_threads(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def load_tokenizer(base: Base) -> Any:
    """The base's tokenizer.

    Raises:
        EngineError: transformers cannot load it.
    """
    try:
        return AutoTokenizer.from_pretrained(base.source, **_revision(base))
    except (OSError, ValueError, KeyError) as error:
        raise _cannot_load(base, error) from error


def load_model(base: Base, dtype: str) -> Any:
    """The base's weights, frozen or not as transformers gives them, on the accelerator if there is one.

    Raises:
        EngineError: transformers cannot load them.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        model = AutoModelForCausalLM.from_pretrained(base.source, dtype=getattr(torch, dtype), **_revision(base))
    except (OSError, ValueError, KeyError) as error:
        raise _cannot_load(base, error) from error
    return model.to(device)


def add_adapter(model: Any, recipe: Recipe, rank: int, base_id: str) -> Any:
    """A PEFT model: the base frozen, a new adapter of ``rank`` in float32 on it."""
    targets: str | list[str] = recipe.target_modules if recipe.target_modules == "all-linear" else _sorted(recipe)
    config = LoraConfig(
        task_type=TaskType.CAUSAL_LM,
        r=rank,
        lora_alpha=_whole(recipe.alpha_of(rank)),
        use_rslora=recipe.rslora,
        lora_dropout=recipe.dropout,
        target_modules=targets,
    )
    adapted = get_peft_model(model, config, autocast_adapter_dtype=True)
    adapted.peft_config["default"].base_model_name_or_path = base_id  # PEFT puts a machine's path there
    return adapted


def pad_id(tokenizer: Any) -> int:
    """A token to pad with. It carries no loss, so any will do."""
    return int(tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id or 0)


def _sorted(recipe: Recipe) -> list[str]:
    targets: Sequence[str] = recipe.target_modules
    return sorted(targets)


def _whole(alpha: float) -> float:
    return int(alpha) if alpha == int(alpha) else alpha


def _revision(base: Base) -> dict[str, str]:
    known = base.hub_id
    return {"revision": known.revision} if base.path is None and known and known.revision else {}


def _cannot_load(base: Base, error: Exception) -> EngineError:
    reason = str(error).strip().splitlines()
    return EngineError(
        f"The base {base.name!r} cannot be loaded from {base.source!r}: {reason[0] if reason else type(error).__name__}",
        code="base_load",
    )
