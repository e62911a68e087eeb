"""The turns of a conversation, in the form in which OpenAI's chat route takes them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function that the assistant calls; ``arguments`` is the text of a JSON object."""

    name: str
    arguments: str
    id: str

    def to_json(self) -> dict[str, Any]:
        """As a request holds it."""
        return {"id": self.id, "type": "function", "function": {"name": self.name, "arguments": self.arguments}}


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. ``content`` is a text, several text parts, or None beside tool calls."""

    role: str
    content: str | tuple[str, ...] | None = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None
    reasoning: str | None = None

    @property
    def parts(self) -> tuple[str, ...]:
        """The content as text parts."""
        if self.content is None:
            return ()
        return (self.content,) if isinstance(self.content, str) else self.content

    @property
    def text(self) -> str:
        """The content as one text."""
        return "\n".join(self.parts)

    @property
    def is_plain(self) -> bool:
        """Whether it is a role and a text, and nothing else."""
        return self == Message(self.role, self.content) and isinstance(self.content, str)

    def to_json(self) -> dict[str, Any]:
        """As a request holds it; what is not there is left out."""
        content: Any = self.content
        if isinstance(content, tuple):
            content = [{"type": "text", "text": part} for part in content]
        more = {
            "tool_calls": [call.to_json() for call in self.tool_calls] or None,
            "tool_call_id": self.tool_call_id,
            "name": self.name,
            "reasoning": self.reasoning,
        }
        return {
            "role": self.role,
            "content": content,
            **{key: value for key, value in more.items() if value is not None},
        }


@dataclass(frozen=True, slots=True)
class PromptOptions:
    """What a request holds beside its messages that a chat template reads."""

    tools: tuple[Mapping[str, Any], ...] = ()
    chat_template_kwargs: Mapping[str, Any] = field(default_factory=dict)
    documents: tuple[Mapping[str, str], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As a request holds it; what is empty is left out."""
        found: dict[str, Any] = {
            "tools": [dict(tool) for tool in self.tools],
            "chat_template_kwargs": dict(self.chat_template_kwargs),
            "documents": [dict(document) for document in self.documents],
        }
        return {key: value for key, value in found.items() if value}
