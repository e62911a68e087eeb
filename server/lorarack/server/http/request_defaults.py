"""A version's defaults, filled into a request where it is silent, by the names that its route has for them.

``null`` is silence, as it is to vLLM. What a route has no field for (``min_p`` on Anthropic's) is not applied there.
"""

from collections.abc import Mapping
from typing import Any

from lorarack.registry import ServingDefaults
from lorarack.server.http.route_table import INVOCATIONS
from lorarack.server.version_defaults import VersionDefaults

CHAT, BATCH, COMPLETIONS = "/v1/chat/completions", "/v1/chat/completions/batch", "/v1/completions"
RESPONSES, COHERE, TOKENIZE = "/v1/responses", "/cohere/v2/chat", "/tokenize"
MESSAGES, COUNT_TOKENS = "/v1/messages", "/v1/messages/count_tokens"


def _names(*same: str, **otherwise: tuple[str, ...]) -> Mapping[str, tuple[str, ...]]:
    return {**{name: (name,) for name in same}, **otherwise}


_SAMPLING = (
    "temperature", "top_p", "top_k", "min_p", "stop", "presence_penalty", "frequency_penalty", "repetition_penalty",
)  # fmt: skip
_CHAT = _names(*_SAMPLING, max_tokens=("max_tokens", "max_completion_tokens"))
#: By route, what it calls each default; of several names the first is filled in where none is given.
_NAMES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    CHAT: _CHAT,
    BATCH: _CHAT,
    COMPLETIONS: _names(*_SAMPLING, "max_tokens"),
    RESPONSES: _names(*_SAMPLING, max_tokens=("max_output_tokens",)),
    MESSAGES: _names("temperature", "top_p", "top_k", "max_tokens", stop=("stop_sequences",)),
    COHERE: _names(
        "temperature", "presence_penalty", "frequency_penalty", "max_tokens",
        top_p=("p",), top_k=("k",), stop=("stop_sequences",),
    ),
    TOKENIZE: {},
    COUNT_TOKENS: {},
}  # fmt: skip
#: Where a system prompt is a field of its own.
_SYSTEM_FIELD = {RESPONSES: "instructions", MESSAGES: "system", COUNT_TOKENS: "system"}
_SYSTEM_ROLES = frozenset({"system", "developer"})


def with_defaults(
    path: str, document: dict[str, Any], defaults: VersionDefaults, longest: int | None
) -> dict[str, Any]:
    """The request with what it does not say; the same object where there is nothing to fill in.

    Args:
        path: of the route.
        document: the request's body.
        defaults: of the version that answers.
        longest: the most tokens that a request may ask for here; a default beyond it is cut to it.
    """
    path = _spoken(path, document)
    said, names = defaults.filled_in, _NAMES.get(path)
    if names is None or not said.given:
        return document
    filled = dict(document)
    for name, theirs in names.items():
        value = said.given.get(name)
        if value is not None and all(document.get(one) is None for one in theirs):
            filled[theirs[0]] = min(value, longest) if name == "max_tokens" and longest else value
    if path != COMPLETIONS and not (path == TOKENIZE and "prompt" in document):
        _fill_prompt(path, filled, said)
    return filled


def own_template(path: str, document: Mapping[str, Any], defaults: VersionDefaults | None) -> str | None:
    """The chat template to render the request with; None where it brings its own, which vLLM refuses or takes (its flag)."""
    if defaults is None or _spoken(path, document) not in _NAMES:
        return None
    arguments = document.get("chat_template_kwargs")
    theirs = arguments.get("chat_template") if isinstance(arguments, dict) else None
    return defaults.template if document.get("chat_template") is None and theirs is None else None


def _spoken(path: str, document: Mapping[str, Any]) -> str:
    """The route whose form the body has: SageMaker's takes those of others."""
    if path == INVOCATIONS and "messages" in document:
        return CHAT
    return COMPLETIONS if path == INVOCATIONS and "prompt" in document else path


def _fill_prompt(path: str, filled: dict[str, Any], said: ServingDefaults) -> None:
    """The system prompt, and arguments of the template, one by one."""
    theirs = filled.get("chat_template_kwargs")
    if said.chat_template_kwargs and isinstance(theirs, dict | None):
        filled["chat_template_kwargs"] = {**said.chat_template_kwargs, **(theirs or {})}
    if said.system is None:
        return
    turns = filled.get("input" if path == RESPONSES else "messages")
    if field := _SYSTEM_FIELD.get(path):
        if filled.get(field) is None and not _has_system(turns):
            filled[field] = said.system
    elif path == BATCH and isinstance(turns, list):
        filled["messages"] = [_with_system(one, said.system) for one in turns]
    else:
        filled["messages"] = _with_system(turns, said.system)


def _with_system(turns: Any, system: str) -> Any:
    if not isinstance(turns, list) or _has_system(turns):
        return turns
    return [{"role": "system", "content": system}, *turns]


def _has_system(turns: Any) -> bool:
    return isinstance(turns, list) and any(
        isinstance(turn, dict) and turn.get("role") in _SYSTEM_ROLES for turn in turns
    )
