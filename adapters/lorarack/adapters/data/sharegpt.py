"""ShareGPT's turns, ``{"from": "human", "value": …}``, as messages."""

from collections.abc import Mapping
from typing import Any

from lorarack.adapters.data.records import WrongRecord, parse_inner

_ROLES = {
    **dict.fromkeys(("human", "user", "prompter"), "user"),
    **dict.fromkeys(("gpt", "assistant", "chatgpt", "bing", "bard", "model"), "assistant"),
    **dict.fromkeys(("tool", "observation", "function_response"), "tool"),
    "system": "system",
    "developer": "developer",
}


def is_sharegpt(turns: Any) -> bool:
    """Whether these turns are ShareGPT's rather than OpenAI's."""
    return isinstance(turns, list) and any(isinstance(turn, dict) and "from" in turn for turn in turns)


def sharegpt_messages(turns: list[Any]) -> list[Any]:
    """The turns as messages. Raises ``WrongRecord``."""
    return [_message(turn, place) for place, turn in enumerate(turns, start=1)]


def _message(turn: Any, place: int) -> Mapping[str, Any]:
    if not isinstance(turn, dict) or not isinstance(turn.get("from"), str) or "value" not in turn:
        raise WrongRecord(f'its turn {place} is not {{"from": text, "value": text}}')
    rest = {key: value for key, value in turn.items() if key not in ("from", "value")}
    if turn["from"] == "function_call":
        return {"role": "assistant", "content": None, "tool_calls": _calls(turn["value"], place), **rest}
    role = _ROLES.get(turn["from"])
    if role is None:
        raise WrongRecord(
            f"its turn {place} is from {turn['from'][:40]!r}; turns are from {', '.join(_ROLES)}, function_call"
        )
    return {"role": role, "content": turn["value"], **rest}


def _calls(value: Any, place: int) -> list[dict[str, Any]]:
    """One call or several, written as JSON."""
    found = parse_inner(value, f"its turn {place}, a function_call,") if isinstance(value, str) else value
    calls = found if isinstance(found, list) else [found]
    if not all(isinstance(call, dict) for call in calls):
        raise WrongRecord(f'its turn {place} is not a call {{"name": …, "arguments": {{…}}}}')
    return [{"type": "function", "function": call} for call in calls]
