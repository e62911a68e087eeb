"""What an experiment says of a challenger at this moment."""

import math
from enum import StrEnum

from lorarack.registry.errors import UsageError
from lorarack.registry.experiment.evidence import BETS
from lorarack.registry.experiment.sequence import ConfidenceSequence, PairedCounts


class ExperimentState(StrEnum):
    """The five things that can be said; all but ``RUNNING`` end an experiment."""

    RUNNING = "running"
    BETTER = "better"
    NOT_WORSE = "not_worse"
    WORSE = "worse"
    UNDECIDED = "undecided"


def verdict(sequence: ConfidenceSequence, margin: float, *, limit: int | None = None) -> ExperimentState:
    """What the interval says of challenger minus reference.

    ``better``: above 0. ``not_worse``: above ``-margin``. ``worse``: below ``-margin``. ``undecided``: none of these after
    ``limit`` observations. All of them hold together with the probability of the interval.

    Raises:
        UsageError: the margin is not between 0 and 1.
    """
    check_margin(margin)
    if sequence.low > 0:
        return ExperimentState.BETTER
    if sequence.low > -margin:
        return ExperimentState.NOT_WORSE
    if sequence.high < -margin:
        return ExperimentState.WORSE
    if limit is not None and sequence.differences.count >= limit:
        return ExperimentState.UNDECIDED
    return ExperimentState.RUNNING


def requests_needed(pilot: PairedCounts, margin: float, alpha: float = 0.05) -> int | None:
    """About how many paired requests decide that the challenger is not worse by ``margin``; None if the pilot says it is worse.

    The evidence grows by the best bet's expected log return a request. Half an observation is added to each count, so that a pilot
    without differences promises nothing.

    Raises:
        UsageError: the margin is not between 0 and 1.
    """
    check_margin(margin)
    counts = [pilot.worse + 0.5, pilot.equal + 0.5, pilot.better + 0.5]
    shares = [count / sum(counts) for count in counts]
    if shares[2] - shares[0] <= -margin:
        return None
    growth = max(
        sum(
            share * math.log1p(bet * (value + margin) / (1 - margin))
            for share, value in zip(shares, (-1, 0, 1), strict=True)
        )
        for bet in map(float, BETS)
    )
    return math.ceil(math.log(2 * len(BETS) / alpha) / growth) if growth > 0 else None


def check_margin(margin: float) -> None:
    """Raises ``UsageError``: not between 0 and 1."""
    if not 0 < margin < 1:
        raise UsageError(
            f"A margin of {margin:g} decides nothing; give how much worse still counts as not worse, above 0 and below 1."
        )
