"""The base in memory, once for all runs over it: adapters are put on it and taken off again."""

from copy import copy
from dataclasses import replace
from functools import cached_property
from random import Random
from typing import Any

import torch

from lorarack.adapters.recipe import Recipe
from lorarack.adapters.training.context import say_about_context
from lorarack.adapters.training.encode import Encoded
from lorarack.adapters.training.fit import Validation
from lorarack.adapters.training.inputs import Inputs
from lorarack.adapters.training.loss import row_losses
from lorarack.adapters.training.model import add_adapter, load_end, load_model, load_tokenizer, pad_id, use_all_cores
from lorarack.adapters.training.progress import TrainingProgress
from lorarack.adapters.training.row_losses import evenly
from lorarack.adapters.training.tokens import Tokens, encode_splits, with_lengths

#: The slice of training rows has as many rows as the validation set, but no fewer and no more than these.
_SLICE = (32, 128)


def open_base(inputs: Inputs, progress: TrainingProgress) -> "LoadedBase":
    """Make the rows tokens and say what there is; the base's weights are loaded when they are needed.

    Raises:
        EngineError: transformers cannot load the base's tokenizer or settings.
        UsageError: rows that the base's chat template or ``max_length`` does not take.
    """
    use_all_cores()
    tokenizer = load_tokenizer(inputs.base)
    end = load_end(inputs.base, tokenizer)
    tokens = encode_splits(inputs, tokenizer, end)
    progress.data(with_lengths(inputs, tokens))
    for said in (end.note, say_about_context(inputs.base, tokens)):
        if said:
            progress.note(said)
    return LoadedBase(inputs, tokens)


class LoadedBase:
    """A base, and the rows of a run as tokens. One adapter is on it at a time."""

    def __init__(self, inputs: Inputs, tokens: Tokens) -> None:
        self.inputs = inputs
        self.tokens = tokens
        self.pad = pad_id(tokens.tokenizer)
        self._bare: Any = None
        self._slice = train_slice(tokens.train, len(tokens.validation), inputs.recipe.seed)

    @cached_property
    def alone(self) -> Validation:
        """What the base does by itself."""
        return self.measure(self._model(), 0)

    def sample(self, rows: int, train_rows: int = 1) -> "LoadedBase":
        """The same base in memory, to measure on at most so many validation rows and training rows, evenly drawn."""
        self._model()
        sampled = copy(self)
        sampled.__dict__.pop("alone", None)
        sampled.tokens = replace(self.tokens, validation=list(evenly(self.tokens.validation, rows)))
        sampled._slice = list(evenly(self._slice, train_rows))
        return sampled

    def with_adapter(self, recipe: Recipe, rank: int) -> Any:
        """The base with a new adapter of ``rank``; ``take_off`` ends it."""
        return add_adapter(self._model(), recipe, rank, self.inputs.base.public_id)

    def take_off(self, adapted: Any) -> None:
        """Take the adapter off again: the base is what it was."""
        self._bare = adapted.unload()
        if hasattr(self._bare, "peft_config"):
            del self._bare.peft_config

    def measure(self, model: Any, step: int) -> Validation:
        """The losses on the slice of training rows and on the validation rows, both in evaluation mode."""
        device = next(model.parameters()).device.type
        recipe = self.inputs.recipe
        with torch.autocast(device, getattr(torch, recipe.dtype), enabled=recipe.dtype != "float32"):
            train, validation = (
                row_losses(model, rows, self.pad, recipe.batch_size) for rows in (self._slice, self.tokens.validation)
            )
        return Validation(step, train, validation)

    def _model(self) -> Any:
        if self._bare is None:
            self._bare = load_model(self.inputs.base, self.inputs.recipe)
        return self._bare


def train_slice(train: list[Encoded], validation: int, seed: int) -> list[Encoded]:
    """The training rows that are measured as validation rows are: the same ones in every run of one seed."""
    count = min(len(train), max(_SLICE[0], min(_SLICE[1], validation)))
    places = sorted(Random(seed).sample(range(len(train)), count))  # noqa: S311  (not for secrets)
    return [train[place] for place in places]
