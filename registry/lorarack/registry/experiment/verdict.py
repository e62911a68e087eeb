"""An experiment's verdict on a challenger at this moment."""

from enum import StrEnum

from lorarack.registry.errors import UsageError
from lorarack.registry.experiment.sequence import ConfidenceSequence


class ExperimentState(StrEnum):
    """The five verdicts on a challenger; ``NOT_WORSE`` may still become ``BETTER``."""

    RUNNING = "running"
    BETTER = "better"
    NOT_WORSE = "not_worse"
    WORSE = "worse"
    UNDECIDED = "undecided"


def verdict(sequence: ConfidenceSequence, margin: float, count: float, limit: int | None = None) -> ExperimentState:
    """What the interval says of challenger minus reference.

    ``better``: above 0. ``not_worse``: above ``-margin``. ``worse``: below ``-margin``. ``undecided``: none of these after
    ``limit`` scores. All of them hold together with the probability of the interval.
    """
    if sequence.low > 0:
        return ExperimentState.BETTER
    if sequence.low > -margin:
        return ExperimentState.NOT_WORSE
    if sequence.high < -margin:
        return ExperimentState.WORSE
    if limit is not None and count >= limit:
        return ExperimentState.UNDECIDED
    return ExperimentState.RUNNING


def check_margin(margin: float) -> None:
    """Raises ``UsageError``: not between 0 and 1."""
    if not 0 < margin < 1:
        raise UsageError(
            f"A margin of {margin:g} decides nothing; give how much worse still counts as not worse, above 0 and below 1.",
            code="bad_margin",
        )
