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
    """A row as token ids: ``prompt`` without loss, then ``completion``, which ends with the end of turn.

    ``answers`` are the spans of the prompt that are learned as well: earlier answers of the same conversation.
    """

    prompt: tuple[int, ...]
    completion: tuple[int, ...]
    answers: tuple[tuple[int, int], ...] = ()

    def __len__(self) -> int:
        return len(self.prompt) + len(self.completion)

    def features(self) -> dict[str, list[int]]:
        """What the collator takes."""
        labels = [NO_LOSS] * len(self.prompt)
        for start, stop in self.answers:
            labels[start:stop] = self.prompt[start:stop]
        return {"input_ids": [*self.prompt, *self.completion], "labels": [*labels, *self.completion]}

    @property
    def learned(self) -> int:
        """How many tokens have loss."""
        return len(self.completion) + sum(stop - start for start, stop in self.answers)


class _Refused(Exception):
    """What is wrong with one row; ``encode_rows`` adds where."""


def encode_rows(
    rows: Rows, tokenizer: Any, max_length: int, end: AnswerEnd | None = None, *, drop: bool = False
) -> list[Encoded]:
    """All rows as tokens. Without ``end`` the tokenizer's own end token is the only one known.

    Rows longer than ``max_length`` are refused, or left out with ``drop``. Where several answers of a conversation are rows and
    the template writes each in the same way before the next turn, they are one sequence: the same loss on the same tokens.

    Raises:
        UsageError: conversations on a base without a chat template, a row that the template or a server would not take
            as it is, rows longer than ``max_length``, or a tokenizer without an end token.
    """
    if rows.chat and not getattr(tokenizer, "chat_template", None):
        plain = ", or write 'chat: false' under data" if "instructions" in rows.shape.name else ""
        raise UsageError(
            f"{rows.name} holds conversations but the base has no chat template; "
            f"use rows of 'prompt' and 'completion', or an instruction-tuned base{plain}.",
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
    if not drop:
        _check_length(rows, encoded, max_length)
    kept = [(row, found) for row, found in zip(rows, encoded, strict=True) if len(found) <= max_length]
    if not kept:
        raise UsageError(
            f"All rows of {rows.name} are longer than max_length={max_length} tokens; raise max_length.",
            code="too_long",
        )
    return _joined(kept)


def _joined(rows: list[tuple[Row, Encoded]]) -> list[Encoded]:
    """Answers of one conversation in one sequence, where each one's tokens begin the next one's prompt."""
    joined: list[Encoded] = []
    before: int | None = None
    for row, found in rows:
        last = joined[-1] if joined and before is not None and row.line == before else None
        ids = (*last.prompt, *last.completion) if last else ()
        if last and found.prompt[: len(ids)] == ids:
            joined[-1] = replace(found, answers=(*last.answers, (len(last.prompt), len(ids))))
        else:
            joined.append(found)
        before = row.line if row.kind == "chat" else None
    return joined


def encode_row(row: Row, tokenizer: Any, end: AnswerEnd | None = None) -> Encoded:
    """One row as tokens.

    Raises:
        UsageError: a conversation on a base without a chat template, a row that the template or a server would not take as it
            is, or a tokenizer without an end token.
    """
    return encode_rows(Rows("this row", (row,)), tokenizer, 2**63, end)[0]


def _encode(row: Row, tokenizer: Any, template: ChatTemplate, end: AnswerEnd) -> Encoded:
    if row.kind == "text":
        return _encode_text(row.completion, tokenizer, end)
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


def _encode_text(text: str, tokenizer: Any, end: AnswerEnd) -> Encoded:
    """A text as it stands, with the special tokens that the tokenizer puts in front and an end, where it has none of its own."""
    opened = bool(tokenizer.bos_token) and text.startswith(tokenizer.bos_token)
    before = [] if opened else tokenizer("", add_special_tokens=True)["input_ids"]
    closed = any(text.rstrip().endswith(stop) for stop in end.stops.values())
    ids = tokenizer(text + ("" if closed else end.closing), add_special_tokens=False)["input_ids"]
    # A tokenizer may also put its end token behind; it is not what begins a text.
    before = [token for token in before if token not in end.stops or token == tokenizer.bos_token_id]
    return Encoded(tuple(before), tuple(ids))


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
            f"{rows.where(long[0]).rpartition(', ')[2]}, the longest has {longest}); raise max_length, shorten them, or leave them "
            "out with 'too_long: drop'.",
            code="too_long",
        )
