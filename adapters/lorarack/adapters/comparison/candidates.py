"""What a comparison puts side by side: one line for each version, and one for the base."""

from collections.abc import Sequence

from lorarack.adapters.comparison.intervals import Interval, bootstrap, wilson
from lorarack.adapters.evaluation.answers import Answers, Evaluation
from lorarack.registry.values import Metric, Value, Version


class Candidate(Value):
    """A version (or the base: rank 0) with its scores and what it costs."""

    model: str
    rank: int
    scores: tuple[float, ...]
    stride: int = 1  # the scores are of one row in so many
    score: Interval
    cut_off: int
    validation_loss: float | None = None
    train_loss: float | None = None
    parameters: int = 0
    bytes: int = 0

    @property
    def is_base(self) -> bool:
        """Whether this is the bare base model."""
        return self.rank == 0

    @property
    def cost(self) -> tuple[int, int, float, int]:
        """What is cheaper comes first: rank, parameters, then (alike in both) validation loss, then bytes."""
        loss = float("inf") if self.validation_loss is None else self.validation_loss
        return self.rank, self.parameters, loss, self.bytes

    @property
    def title(self) -> str:
        """``orders@2 (rank 16)``."""
        return f"{self.model} (base)" if self.is_base else f"{self.model} (rank {self.rank})"


def candidates(evaluation: Evaluation, versions: Sequence[Version]) -> tuple[Candidate, ...]:
    """A line for each subject of the evaluation, cheapest first; who is none of the ``versions`` is the base."""
    known = {version.reference: version for version in versions}
    lines = [_line(result, known.get(result.subject.model), evaluation.binary) for result in evaluation.results]
    return tuple(sorted(lines, key=lambda line: line.cost))


def _line(result: Answers, version: Version | None, binary: bool) -> Candidate:
    scores = result.scores
    interval = wilson(scores) if binary else bootstrap(scores)
    common = {
        "model": result.subject.model,
        "scores": scores,
        "stride": result.subject.stride,
        "score": interval,
        "cut_off": result.cut_off,
    }
    if version is None:
        return Candidate(rank=0, **common)
    return Candidate(
        rank=version.rank,
        validation_loss=_value(version.metric("loss", "validation")),
        train_loss=_value(version.metric("loss", "train")),
        parameters=version.parameters,
        bytes=version.bytes,
        **common,
    )


def _value(metric: Metric | None) -> float | None:
    return metric.value if metric else None
