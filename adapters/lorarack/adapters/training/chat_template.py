"""The base's chat template, applied as vLLM applies it to a chat request."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import jinja2.meta
import jinja2.nodes

from lorarack.adapters.data.messages import Message, PromptOptions
from lorarack.adapters.data.rows import Row
from lorarack.registry.artifact.chat_template import parse_template

_Parts = list[dict[str, str]]


class TemplateRefusal(Exception):
    """The template does not take a row, or leaves out what the row holds; the text is the reason."""


class ChatTemplate:
    """Renders rows with one tokenizer's template.

    A server passes on what OpenAI's form holds and nothing else, reads the arguments of calls as JSON, and gives contents as a
    list of parts to templates that loop over them. tests/adapters/training/test_chat_template.py holds this against vLLM.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def prompt(self, row: Row) -> str:
        """The text up to where the assistant's answer begins. Raises ``TemplateRefusal``."""
        return self._render(row.messages, row.options, opened=True)

    def whole(self, row: Row, answer: Message) -> str:
        """The text of the conversation and ``answer``. Raises ``TemplateRefusal``."""
        return self._render((*row.messages, answer), row.options, opened=False)

    def check(self, row: Row) -> None:
        """Refuse a row that holds what the template does not write: a server would leave it out of the prompt as well.

        Raises:
            TemplateRefusal: the reason.
        """
        messages = (*row.messages, row.answer_message)
        given = row.options.chat_template_kwargs
        if given and (unknown := sorted(given.keys() - _variables(self._text(row.options)))):
            raise TemplateRefusal(f"it knows no {unknown[0]!r}, which 'chat_template_kwargs' sets")
        if any(message.reasoning for message in messages) and "reasoning" not in self._text(row.options):
            raise TemplateRefusal("it does not write 'reasoning'")
        without = {
            "tools": (messages, replace(row.options, tools=())),
            "documents": (messages, replace(row.options, documents=())),
            "tool_calls": (tuple(replace(message, tool_calls=()) for message in messages), row.options),
        }
        for key, (fewer, options) in without.items():
            if (fewer, options) != (messages, row.options) and self._same(messages, row.options, fewer, options):
                raise TemplateRefusal(f"it does not write {key!r}")

    def _same(
        self, messages: Sequence[Message], options: PromptOptions, fewer: Sequence[Message], without: PromptOptions
    ) -> bool:
        whole = self._render(messages, options, opened=False)
        try:
            return whole == self._render(fewer, without, opened=False)
        except TemplateRefusal:
            return False

    def _render(self, messages: Sequence[Message], options: PromptOptions, *, opened: bool) -> str:
        template = self._text(options)
        turns = _conversation(messages, as_parts=_loops_over_content(template))
        if "'developer'" not in template and '"developer"' not in template:
            turns = _developer_as_system(turns)
        try:
            text = self._tokenizer.apply_chat_template(
                turns,
                tools=[_tool(tool) for tool in options.tools] or None,
                documents=list(options.documents) or None,
                chat_template=template,
                tokenize=False,
                add_generation_prompt=opened,
                **options.chat_template_kwargs,
            )
        except Exception as error:
            raise TemplateRefusal(_reason(error)) from error
        return str(text)

    def _text(self, options: PromptOptions) -> str:
        return str(self._tokenizer.get_chat_template(None, tools=[dict(tool) for tool in options.tools] or None))


def _conversation(messages: Sequence[Message], *, as_parts: bool) -> list[dict[str, Any]]:
    """The turns as a template takes them."""
    turns = []
    for message in messages:
        content: str | _Parts = "\n".join(part for part in message.parts if part or as_parts)
        if as_parts and message.role != "tool":
            content = [{"type": "text", "text": part} for part in message.parts]
        turn: dict[str, Any] = {"role": message.role, "content": content}
        if message.tool_calls:
            turn["tool_calls"] = [_call(call.to_json()) for call in message.tool_calls]
        if message.reasoning is not None:
            turn |= {"reasoning": message.reasoning, "reasoning_content": message.reasoning}
        turns.append(turn | {key: value for key in ("tool_call_id", "name") if (value := getattr(message, key))})
    return turns


def _call(call: dict[str, Any]) -> dict[str, Any]:
    function = call["function"]
    return call | {"function": {"name": function["name"], "arguments": json.loads(function["arguments"])}}


def _tool(tool: Any) -> dict[str, Any]:
    function = {"name": None, "description": None, "parameters": None, **tool["function"]}
    return {"type": "function", "function": function}


def _developer_as_system(turns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For a template without the role developer: developer and system messages become one system message in front."""
    if not any(turn["role"] == "developer" for turn in turns):
        return turns
    renamed = [turn | {"role": "system"} if turn["role"] == "developer" else turn for turn in turns]
    first = [turn for turn in renamed if turn["role"] == "system"]
    if len(first) == 1 and renamed[0] is first[0]:
        return renamed
    texts = [turn["content"] if isinstance(turn["content"], str) else _joined(turn["content"]) for turn in first]
    merged = {"role": "system", "content": "\n\n".join(text for text in texts if text)}
    return [merged, *(turn for turn in renamed if turn["role"] != "system")]


def _joined(parts: _Parts) -> str:
    return "\n".join(part["text"] for part in parts)


def _parsed(template: str) -> jinja2.nodes.Template:
    try:
        return parse_template(template)
    except ValueError as error:
        raise TemplateRefusal(str(error)) from error


@lru_cache(maxsize=8)
def _variables(template: str) -> frozenset[str]:
    try:
        return frozenset(jinja2.meta.find_undeclared_variables(_parsed(template)))
    except jinja2.TemplateError as error:
        raise TemplateRefusal(_reason(error)) from error


@lru_cache(maxsize=8)
def _loops_over_content(template: str) -> bool:
    """Whether the template reads contents as a list of parts: it loops over a message's content."""
    return any(_is_content(loop.iter) for loop in _parsed(template).find_all(jinja2.nodes.For))


def _is_content(node: Any) -> bool:
    while isinstance(node, jinja2.nodes.Filter | jinja2.nodes.Test) or (
        isinstance(node, jinja2.nodes.Getitem) and isinstance(node.arg, jinja2.nodes.Slice)
    ):
        node = node.node
    if isinstance(node, jinja2.nodes.Getitem):
        return isinstance(node.arg, jinja2.nodes.Const) and node.arg.value == "content"
    return (isinstance(node, jinja2.nodes.Getattr) and node.attr == "content") or (
        isinstance(node, jinja2.nodes.Name) and node.name == "content"
    )


def _reason(error: BaseException) -> str:
    """The template's own words: those of the deepest error of jinja's, else of what was raised."""
    for found in _causes(error):
        if isinstance(found, jinja2.TemplateError) and str(found):
            return " ".join(str(found).split())
    return " ".join(f"{type(error).__name__}: {error}".split())


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in seen:
        seen.append(current)
        yield current
        current = current.__cause__ or current.__context__
