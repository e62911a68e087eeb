"""Rows to token ids and labels: the tokens that a server will see, and loss on the completion alone.

Conversations go through the base's chat template, as ``/v1/chat/completions`` does; the prompt is tokenised by itself, ending
where the template asks for the assistant's turn, so that training and serving see the same tokens. Plain prompts are plain
text, as ``/v1/completions`` takes them, with the special tokens that the tokenizer puts in front.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lorarack.adapters.data.rows import Row, Rows
from lorarack.registry.errors import UsageError

#: PyTorch's mark for a position without loss.
NO_LOSS = -100


@dataclass(frozen=True, slots=True)
class Encoded:
    """A row as token ids: ``prompt`` without loss, then ``completion``, which ends with the end of turn."""

    prompt: tuple[int, ...]
    completion: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.prompt) + len(self.completion)

    def features(self) -> dict[str, list[int]]:
        """What the collator takes."""
        return {
            "input_ids": [*self.prompt, *self.completion],
            "labels": [*[NO_LOSS] * len(self.prompt), *self.completion],
        }


def encode_rows(rows: Rows, tokenizer: Any, max_length: int) -> list[Encoded]:
    """All rows as tokens.

    Raises:
        UsageError: conversations on a base without a chat template, or rows longer than ``max_length``.
    """
    if rows.chat and not getattr(tokenizer, "chat_template", None):
        raise UsageError(
            f"{rows.name} holds conversations but the base has no chat template; "
            "use rows of 'prompt' and 'completion', or an instruction-tuned base.",
            code="no_chat_template",
        )
    encoded = [encode_row(row, tokenizer) for row in rows]
    long = [place for place, found in enumerate(encoded, start=1) if len(found) > max_length]
    if long:
        longest = max(len(found) for found in encoded)
        raise UsageError(
            f"{len(long)} rows of {rows.name} are longer than max_length={max_length} tokens (the first is row {long[0]}, "
            f"the longest has {longest}); raise max_length or shorten them.",
            code="too_long",
        )
    return encoded


def encode_row(row: Row, tokenizer: Any) -> Encoded:
    """One row as tokens."""
    if row.prompt is not None:
        prompt = tokenizer(row.prompt, add_special_tokens=True)["input_ids"]
        completion = tokenizer(row.completion, add_special_tokens=False)["input_ids"]
        return Encoded(tuple(prompt), (*completion, tokenizer.eos_token_id))
    before = tokenizer.apply_chat_template(row.prompt_messages, tokenize=False, add_generation_prompt=True)
    answer = tokenizer(_answer(row, before, tokenizer), add_special_tokens=False)["input_ids"]
    return Encoded(tuple(tokenizer(before, add_special_tokens=False)["input_ids"]), tuple(answer))


def _answer(row: Row, before: str, tokenizer: Any) -> str:
    """The assistant's turn as the template writes it, up to and with the token that ends it."""
    whole = tokenizer.apply_chat_template(row.to_json()["messages"], tokenize=False)
    end = tokenizer.eos_token or ""
    turn = whole.removeprefix(before)
    if len(turn) == len(whole) or not turn.startswith(row.completion):
        return (
            row.completion + end
        )  # templates that treat past turns differently: the answer as the model would give it
    body, found, _ = turn[len(row.completion) :].partition(end)
    return row.completion + (body + end if found and end else turn[len(row.completion) :])


def batches(rows: list[Encoded], size: int) -> Iterator[list[Encoded]]:
    """The rows by length, longest first, in groups of ``size``: little padding, and memory trouble shows at once."""
    ordered = sorted(rows, key=len, reverse=True)
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]
