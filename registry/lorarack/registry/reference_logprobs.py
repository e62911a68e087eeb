"""A version's log probabilities of fixed texts when it was trained, as stored in its provenance (docs/training.md)."""

from typing import Self

from pydantic import Field, model_validator

from lorarack.registry.value import Value


class ReferencePrompt(Value):
    """Tokens, and the log probability (natural) of each one after the first, given those before it: one fewer than tokens."""

    token_ids: tuple[int, ...] = Field(min_length=2)
    logprobs: tuple[float, ...]

    @model_validator(mode="after")
    def _one_each(self) -> Self:
        if len(self.logprobs) != len(self.token_ids) - 1:
            raise ValueError("there is one log probability for each token after the first")
        return self


class ReferenceLogprobs(Value):
    """A version's log probabilities of fixed texts when it was trained, to check a server against."""

    dtype: str = Field(description="in which the products were computed")
    prompts: tuple[ReferencePrompt, ...]
