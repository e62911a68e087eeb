"""A training run as data: parsed from YAML, checked, saved, compared and run again."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

import yaml
from pydantic import ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from lorarack.adapters.data.options import COLUMNS, Answers, ReadOptions
from lorarack.adapters.data.source import hub_id
from lorarack.adapters.data.text_file import read_text_file
from lorarack.adapters.recipe.words import refuse_unknown, sentence
from lorarack.adapters.recipe.yaml_text import read_yaml
from lorarack.registry.errors import UsageError
from lorarack.registry.texts import check_adapter_name
from lorarack.registry.value import Value

#: What a rank family has in common: everything but these (and where the data lies, which their digests replace).
_NOT_IN_DIGEST = ("name", "base", "data", "ranks", "alpha", "alpha_per_rank", "report_to")

#: Keys that 0.1.0 did not have: while they say what it did, families that it began go on.
_LATER = ("too_long", "gradient_checkpointing", "attention", "packing", "quantise", "peft")

#: More than any run takes; what is above is a slip of the pen.
MAX_EPOCHS, MAX_STEPS = 100_000, 10_000_000


class DataPlan(Value):
    """Where the rows are. Relative paths start at the recipe's own folder."""

    train: str = Field(min_length=1, description="rows to train on")
    validation: str | None = Field(default=None, description="rows that choose the best checkpoint")
    validation_fraction: float = Field(
        default=0.1, gt=0, le=0.5, description="without validation rows: how much of train to set aside for it"
    )
    test: str | None = Field(default=None, description="rows for comparisons; training only checks that it shares none")
    columns: Mapping[str, str] = Field(
        default={},
        description="which column holds what, where their names do not say: `{prompt: question, completion: answer}`",
    )
    answers: Answers = Field(
        default="last", description="of a conversation the last answer is learned, or every one (`every`)"
    )
    chat: bool | None = Field(
        default=None,
        description="true: prompts and answers are conversations; false: Alpaca rows are plain prompts; null: as their form says",
    )
    revision: str | None = Field(
        default=None,
        min_length=1,
        description="the commit of a data set on the Hub; null: the newest, which the run names",
    )
    subset: str | None = Field(
        default=None, min_length=1, description="the subset (configuration) of a data set on the Hub"
    )
    splits: Mapping[Literal["train", "validation", "test"], Annotated[str, Field(min_length=1)]] = Field(
        default={}, description="splits of a folder or data set that have names of their own: `{train: train_sft}`"
    )

    @field_validator("train", "validation", "test")
    @classmethod
    def _source_is_named(cls, source: str | None) -> str | None:
        if source is not None and not source.strip():
            raise PydanticCustomError("empty", "it is empty")
        return source

    @field_validator("columns")
    @classmethod
    def _columns_are_known(cls, columns: Mapping[str, str]) -> Mapping[str, str]:
        if unknown := sorted(columns.keys() - {*COLUMNS}):
            raise ValueError(f"{unknown[0]!r} is nothing that a row has; a row has {', '.join(COLUMNS)}")
        return columns

    def reading(self, role: Literal["train", "validation", "test"]) -> ReadOptions:
        """How the rows for ``role`` are read."""
        return ReadOptions(
            columns=self.columns,
            chat=self.chat,
            answers=self.answers,
            revision=self.revision,
            subset=self.subset,
            split=self.splits.get(role),
            role=role,
        )


class Recipe(Value):
    """Everything that decides a training run. Runs that differ in ``ranks`` and alpha only are one rank family."""

    model_config = ConfigDict(allow_inf_nan=False)

    name: str = Field(description="the adapter that the versions belong to")
    base: str = Field(min_length=1, description="the base model: name, Hub id or folder")
    data: DataPlan = Field(description="where the rows are (below); a path alone is its train")
    ranks: tuple[int, ...] = Field(default=(16,), min_length=1, description="one version is trained for each")
    alpha: float | None = Field(default=None, gt=0, description="the same alpha for every rank")
    alpha_per_rank: float = Field(default=2.0, gt=0, description="without alpha: alpha is this times the rank")
    rslora: bool = Field(default=False, description="scale by alpha / sqrt(rank) instead of alpha / rank")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="dropout in front of the adapter")
    target_modules: tuple[str, ...] | Literal["all-linear"] = Field(
        default="all-linear", description="which modules get an adapter; all-linear leaves lm_head out"
    )
    learning_rate: Annotated[float, Field(gt=0, le=1)] | Literal["auto"] = Field(
        default=1e-3, description="the peak of the schedule; auto: chosen by short runs first"
    )
    warmup: float = Field(default=0.1, ge=0, lt=1, description="share of the steps in which the rate rises")
    schedule: Literal["cosine", "linear", "constant"] = Field(default="cosine", description="what it does afterwards")
    weight_decay: float = Field(default=0.0, ge=0, description="AdamW's weight decay")
    max_grad_norm: float = Field(default=1.0, gt=0, description="gradients are scaled down to this norm")
    batch_size: int = Field(default=8, ge=1, description="rows in one forward pass")
    gradient_accumulation: int = Field(default=1, ge=1, description="forward passes in one step")
    epochs: float = Field(default=3.0, gt=0, le=MAX_EPOCHS, description="times that every row is seen")
    max_steps: int | None = Field(default=None, ge=1, le=MAX_STEPS, description="maximum steps; overrides epochs")
    max_length: int = Field(
        default=1024, ge=8, description="tokens of the longest row; a longer one is refused, not cut"
    )
    too_long: Literal["refuse", "drop"] = Field(
        default="refuse", description="what becomes of rows over max_length; dropped ones are counted and shown"
    )
    eval_every: int | None = Field(
        default=None, ge=1, description="steps between validations; without it five validations in all"
    )
    patience: int | None = Field(
        default=3, ge=1, description="validations without a better loss after which training stops; null: never"
    )
    seed: int = Field(default=0, ge=0, lt=2**32, description="decides the adapter's start, the order of rows, dropout")
    dtype: Literal["bfloat16", "float16", "float32"] = Field(
        default="bfloat16",
        description="of the base while training; the adapter's weights are float32; float16 needs a GPU",
    )
    gradient_checkpointing: bool = Field(
        default=False, description="compute activations again in the backward pass: less memory, more time"
    )
    attention: Literal["eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention"] | None = Field(
        default=None, description="which attention of transformers' computes; null: its own choice"
    )
    packing: bool = Field(
        default=False, description="the rows of a batch as one sequence without padding, each apart from the others"
    )
    quantise: Literal["4bit", "8bit"] | None = Field(
        default=None, description="hold the base in bitsandbytes' NF4 (needs a GPU) or LLM.int8 while training"
    )
    peft: Mapping[str, Any] = Field(
        default={},
        description="further settings of PEFT's LoraConfig; those that vLLM does not serve as trained are refused",
    )
    report_to: tuple[Literal["mlflow", "tensorboard", "wandb"], ...] = Field(
        default=(), description="where transformers' Trainer reports the run as well"
    )

    @field_validator("*", mode="before")
    @classmethod
    def _true_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Python counts True as 1."""
        taken = cls.model_fields[info.field_name or ""].annotation
        values = value if isinstance(value, list | tuple) else [value]
        if bool not in (taken, *get_args(taken)) and any(isinstance(one, bool) for one in values):
            raise PydanticCustomError("true_or_false", "it is true or false")
        return value

    @field_validator("name")
    @classmethod
    def _name_is_a_name(cls, name: str) -> str:
        return check_adapter_name(name)

    @field_validator("data", mode="before")
    @classmethod
    def _path_alone(cls, data: Any) -> Any:
        return {"train": data} if isinstance(data, str) else data

    @field_validator("learning_rate", mode="before")
    @classmethod
    def _rate_or_auto(cls, rate: Any) -> Any:
        if isinstance(rate, str) and rate != "auto":
            try:
                return float(rate)
            except ValueError:
                raise ValueError("it is a number above 0 and at most 1, or auto") from None
        return rate

    @field_validator("ranks", mode="before")
    @classmethod
    def _rank_alone(cls, ranks: Any) -> Any:
        return [ranks] if isinstance(ranks, int) and not isinstance(ranks, bool) else ranks

    @field_validator("report_to", mode="before")
    @classmethod
    def _report_alone(cls, report_to: Any) -> Any:
        return [report_to] if isinstance(report_to, str) else report_to

    @field_validator("ranks")
    @classmethod
    def _ranks_differ(cls, ranks: tuple[int, ...]) -> tuple[int, ...]:
        if any(not 1 <= rank <= 512 for rank in ranks):
            raise ValueError("ranks are 1 to 512")
        if len(set(ranks)) != len(ranks):
            raise ValueError("each rank is given once")
        return ranks

    @model_validator(mode="after")
    def _targets_something(self) -> Self:
        if not self.target_modules:
            raise ValueError("target_modules is empty; leave it out for all linear modules")
        return self

    @property
    def peak_rate(self) -> float:
        """The learning rate as a number. Raises ``ValueError`` while it is still to be chosen."""
        if self.learning_rate == "auto":
            raise ValueError("the learning rate is not chosen yet")
        return self.learning_rate

    def alpha_of(self, rank: int) -> float:
        """The alpha that the version of ``rank`` is trained with."""
        return self.alpha if self.alpha is not None else self.alpha_per_rank * rank

    def family_digest(self, base_fingerprint: str, datasets: Mapping[str, str]) -> str:
        """``sha256:`` of all that a rank family has in common: the settings, the base and the rows, not where they lie."""
        unsaid = {key for key in _LATER if getattr(self, key) == type(self).model_fields[key].default}
        common = {
            "settings": self.model_dump(mode="json", exclude={*_NOT_IN_DIGEST, *unsaid}),
            "base": base_fingerprint,
            "datasets": dict(datasets),
        }
        text = json.dumps(common, sort_keys=True, separators=(",", ":"))
        return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"

    def to_yaml(self) -> str:
        """The recipe as YAML, every key spelled out; ``parse_recipe`` of it is this recipe again."""
        return yaml.safe_dump(self.to_json(), sort_keys=False, allow_unicode=True)


def load_recipe(path: Path) -> Recipe:
    """Read a recipe from YAML; its data's relative paths become absolute, from the recipe's folder.

    Raises:
        NotFound: no such file. UsageError: not a recipe; the sentence says which key and what is wrong with it.
    """
    text = read_text_file(path, "recipe file", "recipe")
    recipe = parse_recipe(text)
    here = path.resolve().parent
    moved = {
        key: _placed(here, value)
        for key in ("train", "validation", "test")
        if (value := getattr(recipe.data, key)) is not None
    }
    return recipe.model_copy(update={"data": recipe.data.model_copy(update=moved)})


def _placed(here: Path, source: str) -> str:
    """A path from the recipe's folder; the id of a data set on the Hub as it is, unless a file there has that name."""
    place = os.path.normpath(here / source)
    return source if hub_id(source) and not os.path.exists(place) else place


def parse_recipe(text: str) -> Recipe:
    """A recipe from YAML text, its paths as they stand. Raises ``UsageError``."""
    return make_recipe(read_yaml(text))


def make_recipe(settings: Mapping[Any, Any]) -> Recipe:
    """A recipe from plain data. Raises ``UsageError`` with one sentence for the first thing that is wrong."""
    refuse_unknown(settings, Recipe, "recipe key")
    if isinstance(settings.get("data"), Mapping):
        refuse_unknown(settings["data"], DataPlan, "key of data in a recipe")
    try:
        return Recipe.model_validate(settings)
    except ValidationError as error:
        raise UsageError(sentence(error), code="bad_recipe") from error
