"""Where an answer ends: the tokens at which a server stops, and what the chat template writes up to the first of them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Self

from lorarack.registry.errors import UsageError


@dataclass(frozen=True, slots=True)
class AnswerEnd:
    """The end tokens of a base.

    Attributes:
        stops: ids and texts of the tokens at which a server stops.
        closing: the text of the token that ends an answer where nothing else does.
        closes_foreign: whether ``closing`` also follows an end that the template writes but no server stops at.
        foreign: such ends, as they were met.
    """

    stops: dict[int, str]
    closing: str
    closes_foreign: bool = False
    foreign: set[str] = field(default_factory=set, compare=False)

    @classmethod
    def of(cls, tokenizer: Any, generation: Iterable[int] | None = None) -> Self:
        """The end tokens of a tokenizer, and of the base's generation settings where these are known.

        Raises:
            UsageError: there is none.
        """
        first = tokenizer.eos_token_id
        ids = [*([first] if isinstance(first, int) else []), *(generation or ())]
        known = [token for token in ids if 0 <= token < len(tokenizer)]
        stops = {token: text for token in known if (text := tokenizer.decode([token]))}
        if not stops:
            raise UsageError(
                "The base's tokenizer has no end token, so answers would never end; "
                "set 'eos_token' in its tokenizer_config.json.",
                code="no_end_token",
            )
        return cls(stops, next(iter(stops.values())), generation is not None)

    def inside(self, text: str) -> str | None:
        """The first end token's text that stands in ``text``."""
        return min((stop for stop in self.stops.values() if stop in text), key=text.index, default=None)

    def cut(self, written: str) -> str | None:
        """``written`` up to and with its first end token; None where it has none."""
        stop = self.inside(written)
        return None if stop is None else written[: written.index(stop) + len(stop)]

    def of_turn(self, tail: str) -> str:
        """The end to learn, given all that the template writes after an answer's text."""
        cut = self.cut(tail)
        if cut is not None:
            return cut
        if not tail.strip():
            return self.closing
        self.foreign.add(tail)
        return tail + self.closing if self.closes_foreign else tail

    @property
    def note(self) -> str | None:
        """What a user should know about ends that the template writes; None where a server stops at all of them."""
        if not self.foreign or not self.closes_foreign:
            return None
        return (
            f"The base's chat template ends an answer with {min(self.foreign)!r}, where a server does not stop; answers are "
            f"taught to end with {self.closing!r} after it. Add its token to eos_token_id in generation_config.json if it is one."
        )
