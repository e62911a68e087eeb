"""The rows of a run as tokens, made once for all ranks, and their lengths."""

from dataclasses import dataclass
from typing import Any

from lorarack.adapters.data.report import SplitReport, lengths
from lorarack.adapters.training.answer_end import AnswerEnd
from lorarack.adapters.training.encode import Encoded, encode_rows
from lorarack.adapters.training.inputs import Inputs


@dataclass(frozen=True, slots=True)
class Tokens:
    """The rows as tokens, made once for all ranks. ``dropped`` are rows left out of each, since they are too long."""

    tokenizer: Any
    train: list[Encoded]
    validation: list[Encoded]
    dropped: tuple[int, int] = (0, 0)


def encode_splits(inputs: Inputs, tokenizer: Any, end: AnswerEnd) -> Tokens:
    """The training and validation rows as tokens.

    Raises:
        UsageError: conversations on a base without a chat template, a row that the template or a server would not take
            as it is, rows longer than ``max_length``, or a tokenizer without an end token.
    """
    longest, drop = inputs.recipe.max_length, inputs.recipe.too_long == "drop"
    found = [encode_rows(rows, tokenizer, longest, end, drop=drop) for rows in (inputs.train, inputs.validation)]
    left_out = [
        len(rows) - sum(1 + len(row.answers) for row in encoded)
        for rows, encoded in zip((inputs.train, inputs.validation), found, strict=True)
    ]
    return Tokens(tokenizer, found[0], found[1], (left_out[0], left_out[1]))


def with_lengths(inputs: Inputs, tokens: Tokens) -> tuple[SplitReport, ...]:
    """The reports of the splits, with the lengths of those that are tokens now."""
    known = {"train": (tokens.train, tokens.dropped[0]), "validation": (tokens.validation, tokens.dropped[1])}
    return tuple(
        report.model_copy(
            update={
                "tokens": lengths(
                    [len(row) for row in known[report.split][0]], sum(row.learned for row in known[report.split][0])
                ),
                "dropped": known[report.split][1],
            }
        )
        if report.split in known
        else report
        for report in inputs.reports
    )
