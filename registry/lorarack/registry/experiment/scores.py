"""What is kept of the scores that one arm's answers got: a few sums, from which its mean can be judged at any moment."""

import numpy as np
from pydantic import Field

from lorarack.registry.errors import UsageError
from lorarack.registry.experiment.evidence import Floats, log_evidence_above, log_evidence_above_from_sums
from lorarack.registry.value import Value

_RIGHT_OR_WRONG = np.array([0.0, 1.0])


class Scores(Value):
    """Scores between 0 and 1. Of right-or-wrong ones (0 or 1) the evidence is the sharper one of counts."""

    graded: bool = Field(default=False, description="anything from 0 to 1; otherwise 0 or 1")
    count: float = 0.0
    total: float = 0.0
    deviation: float = Field(
        default=0.0, description="sum of squared distances from the mean so far, before each score"
    )

    def observe(self, score: float) -> "Scores":
        """With one more score.

        Raises:
            UsageError: it is not 0 or 1, or where scores are graded not between them.
        """
        if not (0 <= score <= 1 if self.graded else score in (0, 1)):
            allowed = "a number from 0 to 1" if self.graded else "0 or 1"
            raise UsageError(f"{score:g} is no value of this metric; give {allowed}.", code="bad_value")
        estimate = (0.5 + self.total) / (self.count + 1)
        return Scores(
            graded=self.graded,
            count=self.count + 1,
            total=self.total + score,
            deviation=self.deviation + (score - estimate) ** 2,
        )

    @property
    def mean(self) -> float | None:
        """The mean so far; None of none."""
        return self.total / self.count if self.count else None

    def times(self, factor: float) -> "Scores":
        """As many more of the same kind, on average."""
        return self.model_copy(
            update={name: getattr(self, name) * factor for name in ("count", "total", "deviation")},
        )

    def log_above(self, bounds: Floats) -> Floats:
        """The log evidence that the mean is above each of ``bounds``; infinite below 0, where it is sure."""
        return self._log_above(bounds, self.total)

    def log_below(self, bounds: Floats) -> Floats:
        """The log evidence that the mean is below each of ``bounds``; infinite above 1, where it is sure."""
        return self._log_above(1 - bounds, self.count - self.total)

    def _log_above(self, bounds: Floats, total: float) -> Floats:
        within = np.clip(bounds, 1e-12, 1.0)
        if self.graded:
            count, summed, deviation = (np.asarray(each) for each in (self.count, total, self.deviation))
            found = log_evidence_above_from_sums(within, count, summed, deviation)
        else:
            found = log_evidence_above(within, _RIGHT_OR_WRONG, np.array([self.count - total, total]), 0.0)
        return np.where(bounds < 0, np.inf, found)
