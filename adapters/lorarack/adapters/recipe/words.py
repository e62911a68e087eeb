"""What is wrong with a recipe, as one sentence that says what to write instead."""

import reprlib
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from lorarack.registry.errors import UsageError
from lorarack.registry.value import Value

_TRUE_OR_FALSE = "true or false"
_SOURCE = "a file, a folder, or the id of a data set on the Hub"
_COUNT = "a whole number from 1 up"

#: What to write for each key; those of ``data`` have it in front.
WANTED = {
    "name": "the adapter's name as a text, in quotes if it is a number",
    "base": "the base model's name, its Hub id or its folder as a text",
    "data": "a path, or a mapping of keys such as {train: rows.jsonl, validation: more-rows.jsonl}",
    "ranks": "a list of whole numbers from 1 to 512, as [4, 16]",
    "alpha": "a number above 0",
    "alpha_per_rank": "a number above 0",
    "rslora": _TRUE_OR_FALSE,
    "dropout": "a number from 0 to below 1",
    "target_modules": "a list of modules' names, as [q_proj, v_proj], or all-linear",
    "learning_rate": "a number above 0 and at most 1, or auto",
    "warmup": "a number from 0 to below 1",
    "schedule": "cosine, linear or constant",
    "weight_decay": "a number from 0 up",
    "max_grad_norm": "a number above 0",
    "batch_size": _COUNT,
    "gradient_accumulation": _COUNT,
    "epochs": "a number above 0 and at most 100000",
    "max_steps": "a whole number from 1 to 10000000",
    "max_length": "a whole number from 8 up",
    "too_long": "refuse or drop",
    "eval_every": _COUNT,
    "patience": "a whole number from 1 up, or null",
    "seed": "a whole number from 0 to 4294967295",
    "dtype": "bfloat16, float16 or float32",
    "gradient_checkpointing": _TRUE_OR_FALSE,
    "attention": "eager, sdpa, flash_attention_2, flash_attention_3 or flex_attention",
    "packing": _TRUE_OR_FALSE,
    "quantise": "4bit or 8bit",
    "peft": "a mapping of settings, as {init_lora_weights: gaussian}",
    "report_to": "a list of mlflow, tensorboard and wandb, as [wandb]",
    "data.train": _SOURCE,
    "data.validation": _SOURCE,
    "data.validation_fraction": "a number above 0 and at most 0.5",
    "data.test": _SOURCE,
    "data.columns": "a mapping of texts, as {prompt: question, completion: answer}",
    "data.answers": "last or every",
    "data.chat": _TRUE_OR_FALSE,
    "data.revision": "the commit as a text, in quotes if it is a number",
    "data.subset": "the subset's name as a text, in quotes if it is a number",
    "data.splits": "a mapping of train, validation and test to splits' names, as {train: train_sft}",
}

_BRIEF = reprlib.Repr()
_BRIEF.maxstring = _BRIEF.maxother = _BRIEF.maxlong = 80


def refuse_unknown(settings: Mapping[Any, Any], model: type[Value], kind: str) -> None:
    """Raise ``UsageError`` for the first key that ``model`` does not have, with the one that it is most like."""
    known = list(model.model_fields)
    for key in settings:
        if key not in known:
            near = get_close_matches(str(key), known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"the keys are {', '.join(known)}."
            raise UsageError(f"{str(key)!r} is no {kind}; {hint}", code="bad_recipe_key")


def sentence(error: ValidationError) -> str:
    """The first problem as a sentence."""
    problem = error.errors()[0]
    place = [str(part) for part in problem["loc"]]
    key = ".".join(place[:2]) if ".".join(place[:2]) in WANTED else "".join(place[:1])
    if problem["type"] == "missing":
        return f"The recipe has no {key!r}, which it needs."
    reason = problem["msg"].removeprefix("Value error, ")
    if not key:
        return f"The recipe is wrong: {reason[0].lower()}{reason[1:]}."
    said = reason[0].lower() + reason[1:] if problem["type"] == "value_error" else f"write {WANTED[key]}"
    if problem["input"] is None:
        return f"The recipe's {key!r} is left empty; {said}."
    return f"The recipe's {key!r} cannot be {_shown(problem['input'])}: {said}."


def _shown(value: Any) -> str:
    """As YAML has it, and not at length."""
    return str(value).lower() if isinstance(value, bool) else _BRIEF.repr(value)
