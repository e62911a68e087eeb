"""Rows to token ids and labels: the tokens that a server will see, and loss on the answer alone.

Conversations go through the base's chat template, as ``/v1/chat/completions`` does; the prompt is tokenised by itself, ending
where the template asks for the assistant's turn, so that training and serving see the same tokens. Plain prompts are plain
text, as ``/v1/completions`` takes them, with the special tokens that the tokenizer puts in front.
"""

from dataclasses import dataclass, replace
from typing import Any

from lorarack.adapters.data.messages import Message
from lorarack.adapters.data.rows import Row, Rows
from lorarack.adapters.training.answer_end import AnswerEnd
from lorarack.adapters.training.chat_template import ChatTemplate, TemplateRefusal
from lorarack.registry.errors import UsageError

#: PyTorch's mark for a position without loss.
NO_LOSS = -100

#: Stands in for an answer's text, to find what the template writes around it.
_MARK = "lorarackanswermark"


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


class _Refused(Exception):
    """What is wrong with one row; ``encode_rows`` adds where."""


def encode_rows(rows: Rows, tokenizer: Any, max_length: int, end: AnswerEnd | None = None) -> list[Encoded]:
    """All rows as tokens. Without ``end`` the tokenizer's own end token is the only one known.

    Raises:
        UsageError: conversations on a base without a chat template, a row that the template or a server would not take
            as it is, rows longer than ``max_length``, or a tokenizer without an end token.
    """
    if rows.chat and not getattr(tokenizer, "chat_template", None):
        raise UsageError(
            f"{rows.name} holds conversations but the base has no chat template; "
            "use rows of 'prompt' and 'completion', or an instruction-tuned base.",
            code="no_chat_template",
        )
    end = end or AnswerEnd.of(tokenizer)
    template = ChatTemplate(tokenizer)
    encoded = []
    for row in rows:
        try:
            encoded.append(_encode(row, tokenizer, template, end))
        except (_Refused, TemplateRefusal) as error:
            said = f"the base's chat template refuses it: {error}" if isinstance(error, TemplateRefusal) else str(error)
            way_out = "" if isinstance(error, _Refused) else "; change the row, or take a base whose template writes it"
            raise UsageError(f"{rows.where(row)}: {said.rstrip('.')}{way_out}.", code="bad_data") from error
    _check_length(rows, encoded, max_length)
    return encoded


def encode_row(row: Row, tokenizer: Any, end: AnswerEnd | None = None) -> Encoded:
    """One row as tokens. Raises like ``encode_rows``."""
    return encode_rows(Rows("this row", (row,)), tokenizer, 2**63, end)[0]


def _encode(row: Row, tokenizer: Any, template: ChatTemplate, end: AnswerEnd) -> Encoded:
    stop = next((found for text in _own_texts(row.answer_message) if (found := end.inside(text))), None)
    if stop:
        raise _Refused(f"its answer holds {stop!r}, at which a server stops; leave it out, since the end is added")
    if row.prompt is not None:
        prompt = tokenizer(row.prompt, add_special_tokens=True)["input_ids"]
        answer = row.completion + end.closing
    else:
        template.check(row)
        before = template.prompt(row)
        prompt = tokenizer(before, add_special_tokens=False)["input_ids"]
        answer = _answer(row, before, template, end)
    return Encoded(tuple(prompt), tuple(tokenizer(answer, add_special_tokens=False)["input_ids"]))


def _own_texts(answer: Message) -> list[str]:
    calls = [text for call in answer.tool_calls for text in (call.name, call.arguments)]
    return [*answer.parts, answer.reasoning or "", *calls]


def _answer(row: Row, before: str, template: ChatTemplate, end: AnswerEnd) -> str:
    """The assistant's turn as the template writes it after the prompt, up to and with the token that ends it."""
    answer = row.answer_message
    whole = template.whole(row, answer)
    if answer.tool_calls or answer.reasoning:
        if not whole.startswith(before):
            raise TemplateRefusal("it writes the turn with 'tool_calls' or 'reasoning' otherwise than it opens it")
        turn = whole.removeprefix(before)
        return end.cut(turn) or turn + end.closing * end.closes_foreign
    head, found, tail = template.whole(row, replace(answer, content=_MARK)).rpartition(_MARK)
    if not found:
        raise TemplateRefusal("it does not write the assistant's answer")
    closed = end.of_turn(tail)
    fits = whole.startswith(head) and whole.endswith(tail) and len(whole) >= len(head) + len(tail)
    body = whole[len(head) : len(whole) - len(tail)] if fits else answer.text
    if head == before:
        return body + closed
    # The template writes more around finished turns than a server's model is to say: the answer alone, and its end token.
    return body + (end.inside(closed) or closed)


def _check_length(rows: Rows, encoded: list[Encoded], max_length: int) -> None:
    long = [row for row, found in zip(rows, encoded, strict=True) if len(found) > max_length]
    if long:
        longest = max(len(found) for found in encoded)
        raise UsageError(
            f"{len(long)} rows of {rows.name} are longer than max_length={max_length} tokens (the first is "
            f"{rows.where(long[0]).partition(', ')[2]}, the longest has {longest}); raise max_length or shorten them.",
            code="too_long",
        )
