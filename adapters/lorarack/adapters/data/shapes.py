"""Which form a record is written in, and the same record in lorarack's own: messages, prompt and completion, or text."""

from collections.abc import Mapping
from typing import Any

from lorarack.adapters.data.alpaca import alpaca_form, alpaca_row
from lorarack.adapters.data.records import WrongRecord, parse_inner
from lorarack.adapters.data.row_keys import OTHER_FORMATS
from lorarack.adapters.data.sharegpt import is_sharegpt, sharegpt_messages

#: Pairs of columns in use that hold a question and its answer, but could as well hold something else.
_PAIRS = (
    *(("question", "answer"), ("question", "response"), ("query", "response"), ("query", "answer"), ("text", "label")),
    *(("text", "labels"), ("text", "target"), ("text", "intent"), ("text", "summary"), ("text", "output")),
    *(
        ("document", "summary"),
        ("article", "highlights"),
        ("source", "target"),
        ("input", "output"),
        ("input", "target"),
    ),
    *(("prompt", "response"), ("prompt", "output"), ("prompt", "answer"), ("prompt", "text"), ("prompt", "label")),
    *(("question", "output"), ("input", "label"), ("sentence", "label"), ("utterance", "intent"), ("text", "answer")),
    *(("text", "response"), ("text", "completion"), ("problem", "solution"), ("instruction", "answer")),
)


def recognise(found: Mapping[str, Any], chat: bool | None) -> tuple[str, dict[str, Any]]:
    """What records like this are called, and the record as messages, prompt and completion, or text.

    Raises:
        WrongRecord: it is in none of the forms, or in two; the reason holds the near fix.
    """
    for key in ("messages", "conversations", "conversation", "tools", "documents", "chat_template_kwargs"):
        if isinstance(found.get(key), str) and found[key].lstrip()[:1] in ("[", "{"):  # a cell of a table
            found = {**found, key: parse_inner(found[key], f"its {key!r}")}
    turns = ("messages", "conversations", "conversation")
    if there := [key for key in turns if found.get(key) is not None]:
        return _turns(found, there[0])
    if "prompt" in found and "completion" in found:
        if isinstance(found["prompt"], list) and isinstance(found["completion"], list):
            return "TRL conversational prompts and completions", _one_conversation(found)
        return "prompts and completions", dict(found)
    if form := alpaca_form(found):
        more, output, name = form
        return name, alpaca_row(found, more, output, chat=chat is not False)
    return _text(found)


def _turns(found: Mapping[str, Any], key: str) -> tuple[str, dict[str, Any]]:
    if "prompt" in found or "completion" in found:
        raise WrongRecord(
            f"it has {key!r} and also 'prompt' or 'completion'; keep one of the two kinds, or write "
            f"'columns: {{messages: {key}}}' under data"
        )
    rest = {name: value for name, value in found.items() if name != key}
    turns = found[key]
    if not is_sharegpt(turns):
        return "OpenAI messages", {"messages": turns, **rest}
    messages = sharegpt_messages(turns)
    if isinstance(rest.get("system"), str):
        messages = [{"role": "system", "content": system} for system in [rest.pop("system")] if system] + messages
    return "ShareGPT conversations", {"messages": messages, **rest}


def _one_conversation(found: Mapping[str, Any]) -> dict[str, Any]:
    """Answers in the prompt are not learned: what TRL learns is the completion."""
    earlier = [
        {**turn, "weight": 0} if isinstance(turn, dict) and turn.get("role") == "assistant" else turn
        for turn in found["prompt"]
    ]
    rest = {key: value for key, value in found.items() if key not in ("prompt", "completion")}
    return {"messages": [*earlier, *found["completion"]], **rest}


def _text(found: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    pair = next((pair for pair in _PAIRS if pair[0] in found and pair[1] in found), None)
    if pair:
        way = f"--column prompt={pair[0]} --column completion={pair[1]}, or 'columns: {{prompt: {pair[0]}, completion: {pair[1]}}}'"
        whole = "; to learn the texts alone, 'columns: {text: text}'" if pair[0] == "text" else ""
        raise WrongRecord(
            f"it has {pair[0]!r} and {pair[1]!r}; where these are prompt and answer, say so with {way} under data{whole}"
        )
    if "text" in found and "prompt" not in found and "completion" not in found:
        return "plain texts", dict(found)
    other = next((said for key, said in OTHER_FORMATS.items() if key in found), None)
    if other:
        raise WrongRecord(f"it has no 'prompt' and 'completion': it is {other}")
    missing = next((key for key in ("prompt", "completion") if key not in found), "prompt")
    columns = ", ".join(repr(key[:40]) for key in list(found)[:12])
    named = (
        f"; its columns are {columns}: say which hold them with --column prompt=… --column completion=…, or "
        "'columns: {prompt: …, completion: …}' under data"
    )
    raise WrongRecord(
        f'it has no {missing!r}; write {{"prompt": …, "completion": …}} or {{"messages": […]}}'
        + (named if columns else "")
    )
