"""The result of a comparison: a verdict per version, and the recommended one."""

from typing import Any, Literal

from pydantic import Field

from lorarack.adapters.evaluation.answers import JudgeReport
from lorarack.registry.value import Value
from lorarack.registry.values import Dataset

Answer = Literal["not_worse", "worse", "undecided"]


class AgainstBest(Value):
    """A version's difference to the best one.

    ``low`` and ``high`` are 95 % bounds, each for itself; ``p`` is the p-value of "worse by the margin or more", adjusted for the
    number of versions. ``low`` is above minus the margin exactly where ``p`` is 0.05 or less and ``answer`` is ``not_worse``.
    """

    difference: float
    low: float
    high: float
    p: float
    answer: Answer


class ScoreMetric(Value):
    """As which metric a version's score was kept."""

    name: str
    split: str
    dataset: str


class Quantiles(Value):
    """Seconds: the median and the 95th percentile of the answers."""

    median: float
    p95: float


class Speed(Value):
    """Time to the first token (``ttft``), and from one token to the next (``itl``), as the client saw them."""

    ttft: Quantiles
    itl: Quantiles | None  # None where no answer had two tokens


class VersionScore(Value):
    """A version's mean score with its 95 % interval, its cost, and how it stands against the best.

    What the registry knows of it is None where the scores were made elsewhere. ``slot`` is the bytes of an engine's slot that holds
    it, ``fits`` how many of those the memory that was given holds.
    """

    reference: str
    score: float
    low: float
    high: float
    against_best: AgainstBest
    cost: float | None = None
    rank: int | None = None
    parameters: int | None = None
    bytes: int | None = None
    slot: int | None = None
    fits: int | None = None
    speed: Speed | None = None
    validation_loss: float | None = None
    train_loss: float | None = None
    cut_off: int | None = None
    metric: ScoreMetric | None = None
    judge: JudgeReport | None = None


class Verdict(Value):
    """The answer of the margin rule.

    ``recommended`` is None while it is undecided. ``answer`` is ``not_worse`` where the recommended version is not worse than the
    best; ``worse`` where the cheapest one is, and the best is recommended. ``rows_needed`` is about how many rows would decide.
    """

    margin: float
    best: str
    recommended: str | None
    answer: Answer
    rows: int
    rows_needed: int | None
    versions: tuple[VersionScore, ...]
    warnings: tuple[str, ...] = ()
    subject: str = Field(exclude=True)  # whom the answer is about: the cheapest version that is not shown to be worse
    losses: bool = Field(default=False, exclude=True)

    def of(self, reference: str) -> VersionScore:
        """That version; ``KeyError`` when it is none of them."""
        for version in self.versions:
            if version.reference == reference:
                return version
        raise KeyError(reference)


class BaseScore(Value):
    """How the bare base answers, beside the versions: a yardstick, not a choice."""

    model: str
    rows: int
    score: float
    low: float
    high: float
    speed: Speed | None = None


class ComparedRow(Value):
    """A row on which the versions' scores differ, with what they answered where that is known."""

    name: str
    scores: dict[str, float]
    prompt: str | None = None
    expected: str | None = None
    answers: dict[str, str] = Field(default_factory=dict)


class Comparison(Value):
    """A verdict, and what it was found on."""

    verdict: Verdict
    title: str
    score: str = "score"
    dataset: Dataset | None = None
    base: BaseScore | None = None
    memory: int | None = None
    disagreeing: tuple[ComparedRow, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """For programs: the verdict; what it was found on stands with each version's metric."""
        return self.verdict.to_json()
