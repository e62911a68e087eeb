"""The rows of a run as tokens, made once for all ranks."""

from dataclasses import dataclass
from typing import Any

from lorarack.adapters.training.encode import Encoded


@dataclass(frozen=True, slots=True)
class Tokens:
    """The rows as tokens, made once for all ranks."""

    tokenizer: Any
    train: list[Encoded]
    validation: list[Encoded]
