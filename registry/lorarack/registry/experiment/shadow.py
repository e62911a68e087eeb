"""Shadow answers: what the other arm of a pair says to the same request, or why it was not asked."""

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from lorarack.registry.value import Value

#: What is kept of a text.
MOST_CHARACTERS = 16_384


class SkipReason(StrEnum):
    """Why a request has no shadow answer. None of them looks at the text that was returned."""

    NO_ROOM = "no_room"
    FAILED = "failed"
    ABORTED = "aborted"
    FORM = "form"
    NO_OTHER_ARM = "no_other_arm"
    OTHER_PROMPT = "other_prompt"
    ENGINE_FAILED = "engine_failed"
    STOPPING = "stopping"


class ShadowResult(Value):
    """What became of the shadow of one request: ``other`` and ``same``, or ``skipped``."""

    experiment: int
    completion: str = Field(description="id of the answer that was returned", max_length=255)
    arm: str = Field(description="whose answer was returned")
    skipped: SkipReason | None = None
    other: str | None = Field(default=None, description="the arm that answered in shadow")
    share: float | None = Field(
        default=None, description="the later arm's, of the requests that either of the two would have been asked"
    )
    same: bool | None = Field(default=None, description="both gave the same answer")
    text: str | None = Field(default=None, description="the answer that was returned, where the other's differs")
    shadow_text: str | None = Field(default=None, description="the other's; None where it was not asked to the end")


class ShadowCounts(Value):
    """What became of the shadows of the requests that one arm answered."""

    same: int = 0
    different: int = 0
    skipped: dict[SkipReason, int] = Field(default_factory=dict)

    @property
    def recorded(self) -> int:
        """Requests that both arms answered."""
        return self.same + self.different

    @property
    def counted(self) -> int:
        """Requests of which is known what became of their shadow."""
        return self.recorded + sum(self.skipped.values())

    def observe(self, result: ShadowResult) -> "ShadowCounts":
        """With one more result."""
        if result.skipped is not None:
            skipped = {**self.skipped, result.skipped: self.skipped.get(result.skipped, 0) + 1}
            return self.model_copy(update={"skipped": skipped})
        name = "same" if result.same else "different"
        return self.model_copy(update={name: getattr(self, name) + 1})

    def __add__(self, other: "ShadowCounts") -> "ShadowCounts":
        reasons = [reason for reason in SkipReason if reason in self.skipped or reason in other.skipped]
        return ShadowCounts(
            same=self.same + other.same,
            different=self.different + other.different,
            skipped={reason: self.skipped.get(reason, 0) + other.skipped.get(reason, 0) for reason in reasons},
        )


class DifferentAnswers(Value):
    """One request to which two arms gave different answers."""

    completion: str
    at: datetime
    arm: str = Field(description="whose answer was returned")
    text: str | None
    other: str
    shadow_text: str | None = Field(description="None: it was not asked to the end")
    value: float | None = Field(description="what was said of the answer that was returned")
