"""Checks a recipe's PEFT settings against what the pinned vLLM serves, before the first step."""

from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from typing import Any

from lorarack.adapters.recipe import Recipe
from lorarack.registry.artifact.adapter_config import feature_problems
from lorarack.registry.errors import UsageError

#: The sizes of a slot for an adapter in vLLM's memory (``vllm.config.lora.MaxLoRARanks``).
SLOTS = (1, 8, 16, 32, 64, 128, 256, 320, 512)

#: Settings that have keys of their own in a recipe.
_OWN_KEYS = {
    "r": "ranks",
    "lora_alpha": "alpha",
    "target_modules": "target_modules",
    "use_rslora": "rslora",
    "lora_dropout": "dropout",
}
#: Patterns and bookkeeping that a family of ranks cannot share, or that training sets by itself.
_NOT_HERE = ("task_type", "peft_type", "inference_mode", "base_model_name_or_path", "rank_pattern", "alpha_pattern")
#: Initialisations that need a pass over data or gradients before the first step.
_NEED_DATA = frozenset({"eva"})
#: Modules that PEFT would train whole and that vLLM serves as LoRA.
_EMBEDDINGS = frozenset({"embed_tokens", "lm_head"})

_REPORTERS = {"mlflow": "mlflow", "tensorboard": "tensorboard", "wandb": "wandb"}


def check_served(recipe: Recipe) -> tuple[Recipe, tuple[str, ...]]:
    """The recipe as it is trained, and what was changed of it or is worth knowing.

    Raises:
        UsageError: the adapter would not be served as it was trained; the sentence has the reason.
    """
    for key in recipe.peft:
        if key in _OWN_KEYS:
            raise _refused(f"{key!r} is the recipe's own key {_OWN_KEYS[key]!r}; write it there")
        if key in _NOT_HERE:
            raise _refused(f"{key!r} cannot be set in a recipe; leave it out")
    recipe, notes = _without_whole_modules(recipe)
    problems = feature_problems(recipe.peft)
    if recipe.peft.get("init_lora_weights") in _NEED_DATA:
        problems.append(
            "init_lora_weights='eva' needs a pass over the data first; train it with PEFT and publish the folder"
        )
    if problems:
        raise _refused(problems[0])
    return recipe, (*notes, *_slots(recipe.ranks))


def check_packages(recipe: Recipe) -> None:
    """Refuse what needs a package that is not installed.

    Raises:
        UsageError: names the package and the way to it.
    """
    wanted: dict[str, str] = {_REPORTERS[name]: f"'report_to: {name}'" for name in recipe.report_to}
    if recipe.quantise:
        wanted["bitsandbytes"] = f"'quantise: {recipe.quantise}'"
    if recipe.attention in ("flash_attention_2", "flash_attention_3"):
        wanted["flash_attn" if recipe.attention.endswith("2") else "flash_attn_interface"] = (
            f"'attention: {recipe.attention}'"
        )
    for package, key in wanted.items():
        if find_spec(package) is None:
            raise UsageError(
                f"The recipe's {key} needs the package {package!r}, which is not installed; install it, or leave the key out.",
                code="not_installed",
            )


def _without_whole_modules(recipe: Recipe) -> tuple[Recipe, list[str]]:
    """Embeddings and head that PEFT would keep whole become targets of LoRA, where the targets are listed."""
    whole = recipe.peft.get("modules_to_save")
    if not isinstance(whole, list) or not whole or not {*map(str, whole)} <= _EMBEDDINGS:
        return recipe, []
    if recipe.target_modules == "all-linear":
        raise _refused(
            f"modules_to_save keeps {', '.join(map(str, whole))} whole, which vLLM does not serve; list target_modules, with "
            f"{' and '.join(map(str, whole))} among them: LoRA on these is served"
        )
    targets = tuple(dict.fromkeys((*recipe.target_modules, *map(str, whole))))
    rest = {key: value for key, value in recipe.peft.items() if key != "modules_to_save"}
    note = (
        f"modules_to_save became LoRA on {', '.join(map(str, whole))}: vLLM serves no modules that are trained whole."
    )
    return recipe.model_copy(update={"target_modules": targets, "peft": rest}), [note]


def _slots(ranks: Iterable[int]) -> list[str]:
    """A rank between two slot sizes takes the larger one."""
    slots = {rank: next(size for size in SLOTS if size >= rank) for rank in ranks}
    return [
        f"Rank {rank} takes a slot of rank {slot} on a server; rank {slot} costs no more there."
        for rank, slot in slots.items()
        if slot != rank and rank > SLOTS[1]
    ]


def config_problems(config: Mapping[str, Any]) -> list[str]:
    """Why an adapter with this PEFT configuration would not be served as trained."""
    problems = feature_problems(config)
    rank = config.get("r")
    if isinstance(rank, int) and rank > SLOTS[-1]:
        problems.append(f"rank {rank} is above {SLOTS[-1]}, the largest that vLLM serves")
    return problems


def _refused(problem: str) -> UsageError:
    return UsageError(f"The recipe's 'peft' cannot be trained: {problem}.", code="not_served")
