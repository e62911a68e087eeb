"""The learning rate that short runs chose, as data."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field, ValidationError

from lorarack.registry.value import Value
from lorarack.registry.values import Version

#: Where provenance and a run's folder keep it.
PROBE_KEY = "learning_rate_probe"


class RateTrial(Value):
    """A short run: its loss on a sample of the validation rows, None where training diverged."""

    rate: float
    loss: float | None


class RateProbe(Value):
    """What was tried, and what came of it."""

    rate: float = Field(description="the learning rate that was chosen")
    rank: int = Field(description="at which it was tried")
    steps: int = Field(description="of each short run")
    trials: tuple[RateTrial, ...] = Field(description="in the order in which they were run")
    seconds: float
    reason: str


def probe_of(kept: Mapping[str, Any]) -> RateProbe | None:
    """The probe that a recipe in provenance, or a run's facts, hold; None where there is none."""
    found = kept.get(PROBE_KEY)
    try:
        return RateProbe.model_validate(found) if isinstance(found, dict) else None
    except ValidationError:  # written by something else
        return None


def probe_behind(version: Version) -> RateProbe | None:
    """The probe that chose the learning rate of a version."""
    return probe_of(version.provenance.recipe) if version.provenance else None
