"""Whether a version is served as it was trained: its reference log probabilities against those that a server gives the same tokens.

The measure is the mean of the differences' amounts over all tokens. A largest difference is reported and decides nothing: one rare
token moves by half a unit through rounding alone.
"""

import math
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from pydantic import Field

from lorarack.registry.reference_logprobs import ReferenceLogprobs
from lorarack.registry.value import Value

#: Means up to which two computations are one function, by the coarser of their number types (docs/server.md has the measurement).
TOLERANCES = {"float32": 0.01, "float16": 0.05, "bfloat16": 0.1}
#: And up to this share of what the adapter does to the base: rounding grows with it.
ROUNDED_SHARE = 0.1
#: From this share on the adapter was not applied as trained. At half its scale it is half.
WRONG_SHARE = 1 / 3

Logprobs = Sequence[Sequence[float]]

#: Tokens on which a version must differ from its base at all, and what spreads them over the vocabulary.
_PROBED, _STRIDE = 16, 7919


def probe_tokens(vocabulary: int) -> tuple[int, ...]:
    """The tokens of an effect probe, for a base of that many."""
    return tuple((number * _STRIDE) % vocabulary for number in range(1, _PROBED + 1))


class ParityState(StrEnum):
    """What a comparison says."""

    SAME = "same"  # within the tolerance
    DRIFTED = "drifted"  # beyond it, and still nearer to the reference than to the base
    OTHER = "other"  # not what was trained


class Parity(Value):
    """A comparison; differences are of natural logarithms of probabilities."""

    state: ParityState
    mean: float = Field(description="of the differences' amounts")
    largest: float
    tolerance: float
    effect: float = Field(description="mean difference of the reference from the base as it is served")
    tokens: int
    trained_in: str = Field(description="number type of the reference")
    served_in: str | None = Field(description="number type of the server; None: not known")

    @property
    def words(self) -> str:
        """For people."""
        said = {
            ParityState.SAME: "is what was trained",
            ParityState.DRIFTED: "is off what was trained",
            ParityState.OTHER: "is not what was trained",
        }[self.state]
        types = (
            self.trained_in
            if self.trained_in == self.served_in
            else f"{self.trained_in}, {self.served_in or 'unknown'}"
        )
        return (
            f"{said}: {self.tokens} log probabilities differ by {self.mean:.2g} on average, {self.largest:.2g} at most "
            f"({types}: up to {self.tolerance:g}; the base differs by {self.effect:.2g})"
        )


def compare_logprobs(
    reference: ReferenceLogprobs, mine: Logprobs, base: Logprobs, served_in: str | None, *, strict: bool = True
) -> Parity | None:
    """Hold what a server says of the reference's prompts against it. None where its lists are of other tokens, or not finite.

    Args:
        reference: of the version.
        mine: for each prompt, the log probability of each token after the first, with the version.
        base: the same, of the bare base there.
        served_in: the server's number type; None where it does not say.
        strict: whether what is off can be `OTHER`. Not over a quantised or converted copy of the base, which is another function.
    """
    wanted = [prompt.logprobs for prompt in reference.prompts]
    shape = [len(one) for one in wanted]
    if not wanted or any([len(one) for one in found] != shape for found in (mine, base)):
        return None
    differences = _differences(wanted, mine)
    mean, effect = _mean(differences), _mean(_differences(wanted, base))
    if not (math.isfinite(mean) and math.isfinite(effect)):
        return None
    tolerance = max(TOLERANCES.get(kind or "", max(TOLERANCES.values())) for kind in (reference.dtype, served_in))
    tolerance = max(tolerance, ROUNDED_SHARE * effect)
    state = ParityState.SAME
    if mean > tolerance:
        plain = strict and served_in in TOLERANCES and reference.dtype in TOLERANCES
        state = ParityState.OTHER if plain and mean >= WRONG_SHARE * effect else ParityState.DRIFTED
    return Parity(
        state=state,
        mean=round(mean, 6),
        largest=round(max(differences), 6),
        tolerance=round(tolerance, 6),
        effect=round(effect, 6),
        tokens=len(differences),
        trained_in=reference.dtype,
        served_in=served_in,
    )


def _differences(one: Logprobs, other: Logprobs) -> list[float]:
    return [abs(a - b) for left, right in zip(one, other, strict=True) for a, b in zip(left, right, strict=True)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


class ServingRecord(Value):
    """What a server found when it loaded a version; kept with the version, the newest counts."""

    at: datetime
    vllm: str = Field(description="its version")
    dtype: str = Field(description="number type that it computes in")
    base_fingerprint: str
    effect: str | None = Field(default=None, description="what the version changes, in words")
    parity: Parity | None = Field(default=None, description="None: it was not compared")
    refused: str | None = Field(default=None, description="why it was not served")

    @property
    def outcome(self) -> tuple[object, ...]:
        """What makes a record worth keeping beside an earlier one: measured numbers move a little each time."""
        state = self.parity.state if self.parity else None
        return self.vllm, self.dtype, self.base_fingerprint, state, self.refused is None, self.effect is None

    @property
    def words(self) -> str:
        """For people."""
        said = (
            [self.refused]
            if self.refused
            else [self.effect, self.parity.words if self.parity else "not compared with its training"]
        )
        return f"vLLM {self.vllm}, {self.dtype}: {'; '.join(text.rstrip('.') for text in said if text)}"
