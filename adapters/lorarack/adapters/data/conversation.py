"""A row of ``messages``, read as a server reads a chat request: what it would not render the same is refused."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from lorarack.adapters.data.messages import Message, PromptOptions, ToolCall
from lorarack.adapters.data.options import Answers
from lorarack.adapters.data.records import WrongRecord, check_json, parse_inner
from lorarack.adapters.data.row_keys import MESSAGE_KEYS, given
from lorarack.registry.serving_defaults import TAKEN_ARGUMENTS

ROLES = ("system", "developer", "user", "assistant", "tool")

#: Content parts that hold text, and under which key.
_TEXT_PARTS = {"text": "text", "input_text": "text", "output_text": "text"}
#: What a tool's function may hold beside its name.
_TOOL_KEYS = {"description": str, "parameters": dict, "strict": bool}
_MESSAGE_READ = ("role", "content", "tool_calls", "tool_call_id", "name", "reasoning", "weight")


def read_messages(found: Any, answers: Answers) -> list[tuple[tuple[Message, ...], Message]]:
    """The answers to learn, each with the turns before it."""
    if not isinstance(found, list) or len(found) < 2:
        raise WrongRecord(
            "its 'messages' is not a list of two or more; write a user's message and the assistant's answer"
        )
    messages = tuple(_message(entry, place) for place, entry in enumerate(found, start=1))
    last = messages[-1]
    if last.role != "assistant":
        raise WrongRecord(f"its last message is by {last.role!r}; the assistant's answer comes last")
    if not last.text.strip() and not last.tool_calls:
        raise WrongRecord("the assistant's answer is empty; write it, or leave the row out")
    weights = [_weight(entry, place) for place, entry in enumerate(found, start=1)]
    if answers == "last":
        _check_last_alone(weights)
        return [(messages[:-1], last)]
    chosen = _every_answer(messages, weights)
    if not chosen:
        raise WrongRecord("all its answers have weight 0, so there is nothing to learn; leave it out")
    return [(messages[:place], messages[place]) for place in chosen]


def count_answers(found: Any) -> int:
    """The assistant's messages in a conversation that was read."""
    return sum(entry.get("role") == "assistant" for entry in found)


def _every_answer(messages: tuple[Message, ...], weights: list[float | None]) -> list[int]:
    """Places of answers that are not weighted 0, after the first user's turn: what stands before it answers nothing."""
    first = next((place for place, message in enumerate(messages) if message.role == "user"), 0)
    return [
        place
        for place, message in enumerate(messages)
        if place > first
        and message.role == "assistant"
        and weights[place] != 0
        and (message.text.strip() or message.tool_calls)
    ]


def unread_keys(found: Any) -> Iterable[str]:
    """The keys of its messages that say nothing to a server, as ``messages[].KEY``."""
    for entry in found if isinstance(found, list) else []:
        yield from (f"messages[].{key}" for key in entry if key not in _MESSAGE_READ and given(entry, key))


def read_options(found: Mapping[str, Any]) -> PromptOptions:
    """What stands beside the messages and reaches the template: tools, documents, template arguments."""
    kwargs = found.get("chat_template_kwargs") or {}
    if not isinstance(kwargs, dict):
        raise WrongRecord("its 'chat_template_kwargs' is not a JSON object")
    if taken := sorted(TAKEN_ARGUMENTS & kwargs.keys()):
        raise WrongRecord(f"its 'chat_template_kwargs' has {taken[0]!r}, which rendering sets by itself; leave it out")
    check_json(kwargs, "its 'chat_template_kwargs'")
    documents = found.get("documents") or []
    if not isinstance(documents, list) or not all(_is_document(entry) for entry in documents):
        raise WrongRecord("its 'documents' is not a list of JSON objects of texts")
    tools = found.get("tools") or []
    if not isinstance(tools, list):
        raise WrongRecord("its 'tools' is not a list")
    return PromptOptions(tuple(_tool(tool) for tool in tools), kwargs, tuple(documents))


def _is_document(entry: Any) -> bool:
    return isinstance(entry, dict) and all(isinstance(value, str) for value in entry.values())


def _message(entry: Any, place: int) -> Message:
    where = f"its message {place}"
    if not isinstance(entry, dict) or not isinstance(entry.get("role"), str):
        near = (
            "; rename 'from' to 'role' and 'value' to 'content'" if isinstance(entry, dict) and "from" in entry else ""
        )
        raise WrongRecord(f'{where} is not {{"role": text, "content": text}}{near}')
    role = entry["role"]
    if role not in ROLES:
        near = "; write 'tool', with the 'tool_call_id' of the call" if role == "function" else ""
        raise WrongRecord(f"{where} has the role {role[:40]!r}; roles are {', '.join(ROLES)}{near}")
    for key, way_out in MESSAGE_KEYS.items():
        if given(entry, key):
            raise WrongRecord(f"{where} has {key!r}; {way_out}")
    calls = tuple(
        _tool_call(call, f"{where}, tool call {number}", number) for number, call in enumerate(_calls(entry, where), 1)
    )
    for key, owner in (("tool_calls", "assistant"), ("reasoning", "assistant"), ("tool_call_id", "tool")):
        if given(entry, key) and role != owner:
            raise WrongRecord(f"{where} has {key!r}, which only a message of role {owner!r} has; leave it out")
    texts = {key: _optional_text(entry, key, where) for key in ("tool_call_id", "name", "reasoning")}
    return Message(role, _content(entry.get("content"), where, bool(calls)), calls, **texts)


def _calls(entry: Mapping[str, Any], where: str) -> list[Any]:
    calls = entry.get("tool_calls") or []
    if not isinstance(calls, list):
        raise WrongRecord(f"{where} has 'tool_calls' that are no list")
    return calls


def _optional_text(entry: Mapping[str, Any], key: str, where: str) -> str | None:
    value = entry.get(key)
    if value is not None and not isinstance(value, str):
        raise WrongRecord(f"{where} has a {key!r} that is not a text")
    return value or None


def _content(found: Any, where: str, calls: bool) -> str | tuple[str, ...] | None:
    if isinstance(found, str) or (found is None and calls):
        return found
    if not isinstance(found, list):
        raise WrongRecord(f'{where} is not {{"role": text, "content": text}}')
    return tuple(_part(part, f"{where}, part {number}") for number, part in enumerate(found, start=1))


def _part(part: Any, where: str) -> str:
    if isinstance(part, str):
        return part
    kind = part.get("type") if isinstance(part, dict) else None
    if not isinstance(kind, str) or kind not in _TEXT_PARTS:
        raise WrongRecord(f"{where} is of type {str(kind)[:40]!r}; only text is trained, so leave such rows out")
    text = part.get(_TEXT_PARTS[kind])
    if not isinstance(text, str):
        raise WrongRecord(f'{where} is not {{"type": "text", "text": text}}')
    return text


def _tool_call(call: Any, where: str, number: int) -> ToolCall:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or call.get("type", "function") != "function":
        raise WrongRecord(f'{where} is not {{"type": "function", "function": {{"name": …, "arguments": …}}}}')
    name, arguments = function.get("name"), function.get("arguments") or "{}"
    if not isinstance(name, str) or not name:
        raise WrongRecord(f"{where} has no function's name")
    arguments = _arguments(arguments, where)
    identity = call.get("id")
    if identity is not None and not isinstance(identity, str):
        raise WrongRecord(f"{where} has an 'id' that is not a text")
    return ToolCall(name, arguments, identity or f"call_{number}")  # a request must name its calls


def _arguments(found: Any, where: str) -> str:
    """The text of a JSON object, as it stands or of the object."""
    what = f"{where}: its 'arguments'"
    value = parse_inner(found, what) if isinstance(found, str) else found
    if not isinstance(value, dict):
        raise WrongRecord(f"{where} has 'arguments' that are not a JSON object")
    check_json(value, what)
    return found if isinstance(found, str) else json.dumps(value, ensure_ascii=False)


def _tool(tool: Any) -> Mapping[str, Any]:
    """With the keys that a server passes on, and no others; a function alone counts as a tool."""
    bare = isinstance(tool, dict) and "name" in tool and tool.keys() <= {"type", "name", *_TOOL_KEYS}
    function = tool if bare else tool.get("function") if isinstance(tool, dict) else None
    if not isinstance(function, dict) or tool.get("type", "function") != "function":
        raise WrongRecord('a tool is not {"type": "function", "function": {"name": …, "parameters": …}}')
    if not isinstance(function.get("name"), str) or not function["name"]:
        raise WrongRecord("a tool's function has no name")
    for key, kind in _TOOL_KEYS.items():
        if function.get(key) is not None and not isinstance(function[key], kind):
            raise WrongRecord(f"the tool {function['name'][:40]!r} has a {key!r} of the wrong kind")
    kept = {key: function[key] for key in ("name", *_TOOL_KEYS) if function.get(key) is not None}
    check_json(kept, f"the tool {function['name'][:40]!r}")
    return {"type": "function", "function": kept}


def _weight(entry: Mapping[str, Any], place: int) -> float | None:
    """OpenAI's mark for answers to learn (1) or not (0)."""
    weight = entry.get("weight")
    if weight is not None and (type(weight) not in (int, float) or weight not in (0, 1)):
        raise WrongRecord(f"its message {place} has a 'weight' that is neither 0 nor 1")
    return weight


def _check_last_alone(weights: list[float | None]) -> None:
    """The last answer is learned, and no other."""
    if weights[-1] == 0:
        raise WrongRecord(
            "its last answer has weight 0, so there is nothing to learn; end the row at an answer to learn, or write "
            "'answers: every' under data"
        )
    for place, weight in enumerate(weights[:-1], start=1):
        if weight == 1:
            raise WrongRecord(
                f"its message {place} has weight 1, but only the last answer is learned; write 'answers: every' under data"
            )
