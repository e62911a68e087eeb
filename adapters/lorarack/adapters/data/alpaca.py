"""Rows of an instruction and its output, as Alpaca and Dolly have them."""

from collections.abc import Mapping
from typing import Any

from lorarack.adapters.data.columns import text_of
from lorarack.adapters.data.records import WrongRecord
from lorarack.adapters.data.row_keys import given

#: Keys of the instruction's input and of the output, and what rows with them are called.
_FORMS = (
    ("input", "output", "Alpaca instructions"),
    ("input", "response", "Alpaca instructions"),
    ("context", "response", "Dolly instructions"),
)


def alpaca_form(found: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """The keys of input and output, and the name; None where the record is no instruction with an output."""
    if "instruction" not in found:
        return None
    forms = [form for form in _FORMS if form[1] in found]
    return next((form for form in forms if form[0] in found), forms[0] if forms else None)


def alpaca_row(found: Mapping[str, Any], more: str, output: str, *, chat: bool) -> dict[str, Any]:
    """The record as a conversation, or as prompt and completion: instruction and input are parted by an empty line.

    Raises:
        WrongRecord: what should be a text is none.
    """
    texts = ("instruction", more, output, "system")
    found = {**found, **{key: text_of(found[key], key) for key in texts if found.get(key) is not None}}
    asked = "\n\n".join(text for key in ("instruction", more) if (text := found.get(key)))
    if not asked.strip():
        raise WrongRecord("its 'instruction' is empty; write a text, or leave the row out")
    read = {"instruction", more, output, "system", "history"}
    rest = {key: value for key, value in found.items() if key not in read}
    answer = found.get(output) or ""
    if not chat:
        if given(found, "history"):
            raise WrongRecord("it has 'history', which only a conversation can have; leave out 'chat: false'")
        system = f"{found['system']}\n\n" if given(found, "system") else ""
        return {"prompt": f"{system}{asked}\n\n", "completion": answer, **rest}
    before = [{"role": "system", "content": found["system"]}] if given(found, "system") else []
    turns = [*before, *_history(found.get("history")), {"role": "user", "content": asked}]
    return {"messages": [*turns, {"role": "assistant", "content": answer}], **rest}


def _history(found: Any) -> list[dict[str, Any]]:
    """Earlier turns, as pairs of what was asked and what was answered."""
    pairs = found or []
    if not isinstance(pairs, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        raise WrongRecord("its 'history' is not a list of pairs [asked, answered]")
    return [
        {"role": role, "content": text}
        for pair in pairs
        for role, text in zip(("user", "assistant"), pair, strict=True)
    ]
