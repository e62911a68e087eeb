"""What is observed of an experiment: answers, feedback, the sums over them, and the intervals that they gave."""

from datetime import datetime
from typing import Any

from pydantic import Field

from lorarack.registry.experiment.latencies import Latencies
from lorarack.registry.experiment.paired import PairedScores
from lorarack.registry.experiment.scores import Scores
from lorarack.registry.experiment.shadow import ShadowCounts
from lorarack.registry.experiment.values import Experiment
from lorarack.registry.value import Value


class Tally(Value):
    """Sums over what one arm has answered."""

    requests: int = 0
    errors: int = 0
    latencies: dict[str, Latencies] = Field(default_factory=dict, description="ttft, itl and e2e, each in seconds")
    scores: Scores = Scores()
    shadow: ShadowCounts = ShadowCounts()
    paired: dict[str, PairedScores] = Field(
        default_factory=dict,
        description="an earlier arm -> the requests that both answered, this arm as the challenger",
    )
    callers: int | None = Field(default=None, description="kept when the answers of an ended experiment are removed")

    def observe(self, answer: "Answer") -> "Tally":
        """With one more answer, which has no score yet."""
        latencies = dict(self.latencies)
        for name, seconds in answer.seconds.items():
            latencies[name] = latencies.get(name, Latencies()).observe(seconds)
        return self.model_copy(
            update={"requests": self.requests + 1, "errors": self.errors + answer.failed, "latencies": latencies}
        )


class Answer(Value):
    """One answer of an arm, as a server saw it."""

    experiment: int
    arm: str
    caller: str = Field(description="hash of what identifies the caller", max_length=32)
    key: str = Field(description="name of the API key")
    completion: str = Field(description="id of the answer, by which feedback names it", max_length=255)
    failed: bool = False
    at: datetime | None = Field(default=None, description="when its arm was assigned; None: now")
    seconds: dict[str, float] = Field(default_factory=dict, description="ttft, itl and e2e, those that were measured")


class Feedback(Value):
    """A user's feedback on an answer."""

    completion: str
    experiment: int
    arm: str
    metric: str
    value: float


class Look(Value):
    """The interval of ``arm`` minus ``other`` at one moment; it never widens from one look to the next."""

    arm: str
    other: str
    count: int = Field(description="scored requests of both")
    at: datetime
    difference: float
    low: float
    high: float
    pairs: int = Field(default=0, description="scored requests that both answered")


class Observed(Value):
    """What the catalog keeps of an experiment, at one moment."""

    at: datetime = Field(description="that moment, by the catalog's clock")
    experiment: Experiment
    tallies: dict[str, Tally]
    callers: dict[str, int] = Field(description="arm -> callers since weights were last changed")
    looks: tuple[Look, ...] = Field(description="oldest first")


class ExperimentStatus(Observed):
    """What is observed, and what it says of the experiment as a whole."""

    recommended: str | None = Field(
        description="arm of the cheapest version that is not worse than any other; None: undecided"
    )
    mismatch: bool = Field(description="callers do not fall on the arms as the weights say: trust nothing here")
    pairs_needed: int | None = Field(
        default=None, description="scored pairs that it takes, told from how often answers differ; None: not known yet"
    )

    @property
    def shadow(self) -> ShadowCounts:
        """What became of the shadows of all requests."""
        return sum((tally.shadow for tally in self.tallies.values()), ShadowCounts())

    @property
    def shadows_waiting(self) -> int:
        """Requests whose shadow is still to come, or was lost with a server that was killed."""
        return sum(tally.requests for tally in self.tallies.values()) - self.shadow.counted

    @property
    def differing(self) -> float | None:
        """The share of shadow answers that differ; None of none."""
        return self.shadow.different / self.shadow.recorded if self.shadow.recorded else None

    def to_json(self) -> dict[str, Any]:
        """As docs/json.md has it."""
        whole = self.experiment.to_json()
        for arm in whole["arms"]:
            tally = self.tallies[arm["arm"]]
            arm |= {
                "requests": tally.requests,
                "errors": tally.errors,
                "callers": self.callers.get(arm["arm"], 0),
                "scored": int(tally.scores.count),
                "mean": tally.scores.mean,
                "p95": {name: found.quantile(0.95) for name, found in sorted(tally.latencies.items())},
            }
        shadows = {**self.shadow.to_json(), "waiting": self.shadows_waiting, "differing": self.differing}
        return whole | {
            "looks": [look.to_json() for look in self.looks],
            "recommended": self.recommended,
            "mismatch": self.mismatch,
            "shadows": shadows if self.experiment.plan.shadow else None,
            "pairs_needed": self.pairs_needed,
        }
