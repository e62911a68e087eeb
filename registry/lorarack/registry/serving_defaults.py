"""What a version brings along for requests that say nothing of it themselves."""

from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, JsonValue, field_validator, model_validator

from lorarack.registry.value import InputValue

#: Characters of a system prompt.
MAX_SYSTEM = 100_000
#: Texts at which an answer stops, and characters of one. vLLM takes four.
MAX_STOPS, MAX_STOP = 4, 1_000
#: What rendering a chat sets by itself, so that no template argument may be called so.
TAKEN_ARGUMENTS = frozenset({
    "conversation", "messages", "tools", "documents", "chat_template", "add_generation_prompt", "tokenize", "padding",
    "continue_final_message", "truncation", "max_length", "return_tensors", "return_dict", "tokenizer_kwargs",
    "return_assistant_tokens_mask",
})  # fmt: skip

_Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
_Whole = Annotated[int, Field(strict=True, le=2**31 - 1)]


class ServingDefaults(InputValue):
    """What a server fills into requests for a version where they are silent, by the names of OpenAI's and vLLM's requests."""

    code: ClassVar[str] = "bad_defaults"

    system: str | None = Field(default=None, min_length=1, max_length=MAX_SYSTEM, description="the system prompt")
    temperature: _Number | None = Field(default=None, ge=0, le=2)
    top_p: _Number | None = Field(default=None, gt=0, le=1)
    top_k: _Whole | None = Field(default=None, ge=-1, description="0 and -1: all tokens")
    min_p: _Number | None = Field(default=None, ge=0, le=1)
    max_tokens: _Whole | None = Field(default=None, ge=1, description="of the answer")
    stop: tuple[str, ...] = Field(default=(), max_length=MAX_STOPS)
    presence_penalty: _Number | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: _Number | None = Field(default=None, ge=-2, le=2)
    repetition_penalty: _Number | None = Field(default=None, gt=0, le=10)
    chat_template_kwargs: dict[str, JsonValue] = Field(
        default_factory=dict, description="arguments of the chat template"
    )

    @field_validator("stop", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _usable(self) -> Self:
        for text in self.stop:
            if not 0 < len(text) <= MAX_STOP:
                raise ValueError(f"a text in 'stop' has 1 to {MAX_STOP:,} characters")
        for text in (self.system or "", *self.stop):
            if "\0" in text or not _is_unicode(text):
                raise ValueError("a text holds NUL or half of a character")
        if taken := sorted(TAKEN_ARGUMENTS & self.chat_template_kwargs.keys()):
            raise ValueError(f"'chat_template_kwargs' has {taken[0]!r}, which rendering sets by itself")
        return self

    @property
    def given(self) -> dict[str, Any]:
        """What it says, as JSON; empty where it says nothing."""
        return self.model_dump(mode="json", exclude_defaults=True)

    @property
    def words(self) -> tuple[str, ...]:
        """What it says, for people, a text each."""
        said = self.given
        system = said.pop("system", None)
        shown = [f"{name}={value}" for name, value in said.items()]
        return (f"system prompt of {len(system):,} characters", *shown) if system else tuple(shown)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
