"""The base model in memory, and a fresh adapter on it."""

import os
from collections.abc import Sequence
from typing import Any

import torch
from peft import LoraConfig, TaskType, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from lorarack.adapters.recipe import Recipe
from lorarack.adapters.training.answer_end import AnswerEnd
from lorarack.adapters.training.lora_linear import fuse_lora
from lorarack.registry.errors import EngineError, UsageError
from lorarack.registry.values import Base


def use_all_cores() -> None:
    """Let torch use every core that this process may run on, unless ``OMP_NUM_THREADS`` says how many."""
    if os.environ.get("OMP_NUM_THREADS"):
        return
    torch.set_num_threads(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def check_dtype(dtype: str) -> None:
    """Refuse a dtype that the machine does not compute in.

    Raises:
        UsageError: with the way out.
    """
    if dtype == "float16" and not torch.cuda.is_available():
        raise UsageError("float16 needs a GPU; write 'dtype: bfloat16' in the recipe.", code="no_float16")
    if (
        dtype == "bfloat16"
        and torch.cuda.is_available()
        and not torch.cuda.is_bf16_supported(including_emulation=False)
    ):
        name = torch.cuda.get_device_name(0)
        raise UsageError(f"{name} does not compute in bfloat16; write 'dtype: float16' in the recipe.", code="no_bf16")


def first_line(error: BaseException) -> str:
    """The message of another library's error, in one line."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def load_tokenizer(base: Base) -> Any:
    """The base's tokenizer.

    Raises:
        EngineError: transformers cannot load it.
    """
    try:
        return AutoTokenizer.from_pretrained(base.source, **revision_of(base))
    except Exception as error:  # files of others: their readers raise every kind, tokenizers' a bare Exception
        raise _cannot_load(base, error) from error


def load_model(base: Base, recipe: Recipe) -> Any:
    """The base's weights, frozen or not as transformers gives them, on the accelerator if there is one.

    Raises:
        EngineError: transformers cannot load them.
        UsageError: the base is to be held in four bits where there is no GPU.
    """
    device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if torch.cuda.is_available() else "cpu"
    options: dict[str, Any] = {"dtype": getattr(torch, recipe.dtype), **revision_of(base)}
    if recipe.attention:
        options["attn_implementation"] = recipe.attention
    if recipe.quantise:
        options |= {"quantization_config": _quantisation(recipe), "device_map": {"": device}}
    try:
        model = AutoModelForCausalLM.from_pretrained(base.source, **options)
        model = model if recipe.quantise else model.to(device)
        if recipe.gradient_checkpointing:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # as above
        raise _cannot_load(base, error) from error
    return model


def _quantisation(recipe: Recipe) -> Any:
    from transformers import BitsAndBytesConfig

    if recipe.quantise == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    if not torch.cuda.is_available():  # bitsandbytes 0.50 has NF4 on CPUs, but a base's losses are not its own there
        raise UsageError(
            "'quantise: 4bit' needs a GPU; write 'quantise: 8bit', leave it out, or train on a machine with one.",
            code="no_gpu",
        )
    computed = getattr(torch, recipe.dtype)
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=computed)


def load_end(base: Base, tokenizer: Any) -> AnswerEnd:
    """The tokens at which a server of the base stops: the tokenizer's, and those of its generation settings.

    Raises:
        EngineError: transformers cannot read the settings.
        UsageError: there is no such token.
    """
    try:
        found = GenerationConfig.from_pretrained(base.source, **revision_of(base)).eos_token_id
    except OSError:  # no such file: a server takes what config.json says
        found = _from_config(base)
    except Exception as error:  # as above
        raise _cannot_load(base, error) from error
    ids = found if isinstance(found, list) else [found]
    return AnswerEnd.of(tokenizer, [token for token in ids if isinstance(token, int)])


def _from_config(base: Base) -> Any:
    try:
        return getattr(AutoConfig.from_pretrained(base.source, **revision_of(base)), "eos_token_id", None)
    except (OSError, ValueError, KeyError) as error:
        raise _cannot_load(base, error) from error


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
        **recipe.peft,
    )
    adapted = get_peft_model(model, config, autocast_adapter_dtype=True)
    adapted.peft_config["default"].base_model_name_or_path = base_id  # PEFT puts a machine's path there
    fuse_lora(adapted)
    return adapted


def pad_id(tokenizer: Any) -> int:
    """A token to pad with. It carries no loss, so any will do."""
    return int(tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id or 0)


def _sorted(recipe: Recipe) -> list[str]:
    targets: Sequence[str] = recipe.target_modules
    return sorted(targets)


def _whole(alpha: float) -> float:
    return int(alpha) if alpha == int(alpha) else alpha


def revision_of(base: Base) -> dict[str, str]:
    """The argument with which transformers takes the base's own revision from the Hub; none for a folder."""
    known = base.hub_id
    return {"revision": known.revision} if base.path is None and known and known.revision else {}


def _cannot_load(base: Base, error: Exception) -> EngineError:
    return EngineError(
        f"The base {base.name!r} cannot be loaded from {base.source!r}: {first_line(error)}",
        code="base_load",
    )
