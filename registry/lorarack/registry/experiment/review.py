"""What an experiment's sums say now: intervals between all arms, a state for each challenger, arms to be stopped."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations

from lorarack.registry.experiment.guards import Guard
from lorarack.registry.experiment.latencies import Latencies
from lorarack.registry.experiment.observed import Look, Tally
from lorarack.registry.experiment.paired import PairedScores
from lorarack.registry.experiment.sample_ratio import log_mismatch
from lorarack.registry.experiment.sequence import ConfidenceSequence
from lorarack.registry.experiment.values import Experiment
from lorarack.registry.experiment.verdict import ExperimentState, verdict

#: States that no later look changes.
_FINAL = frozenset({ExperimentState.BETTER, ExperimentState.WORSE, ExperimentState.UNDECIDED})
#: A sequence is looked at again when it has this many times the scores of the last look.
_MORE = 1.02


@dataclass(frozen=True, slots=True)
class Review:
    """What is to be kept of one look.

    Attributes:
        looks: new intervals.
        states: arm -> what is said of it now, where that has changed.
        stopped: arm -> why it is to get no more requests.
    """

    looks: tuple[Look, ...]
    states: Mapping[str, ExperimentState]
    stopped: Mapping[str, str]


def review(experiment: Experiment, tallies: Mapping[str, Tally], looks: Sequence[Look], moment: datetime) -> Review:
    """Look at an experiment. Guards are looked at each time, intervals after enough more feedback."""
    stopped = {arm.name: why for arm in experiment.open_arms[1:] if (why := crossed(experiment, tallies, arm.name))}
    new = _new_looks(experiment, tallies, looks, moment)
    newest = {(look.arm, look.other): look for look in (*looks, *new)}
    states: dict[str, ExperimentState] = {}
    for arm in experiment.arms[1:]:
        look = newest.get((arm.name, experiment.reference.name))
        if look is None or arm.state in _FINAL or arm.stopped is not None:
            continue
        sequence = ConfidenceSequence(look.low, look.high)
        state = verdict(sequence, experiment.plan.margin, look.count, experiment.plan.limit)
        if state is not arm.state:
            states[arm.name] = state
        if state is ExperimentState.WORSE:
            stopped.setdefault(
                arm.name, f"worse than {experiment.reference.name} by more than the margin: {spelled(look)}"
            )
    return Review(new, states, stopped)


def crossed(experiment: Experiment, tallies: Mapping[str, Tally], arm: str) -> str | None:
    """Why a guard stops the arm; None if none does."""
    tally, reference = (tallies.get(name, Tally()) for name in (arm, experiment.reference.name))
    for text, guard in zip(experiment.plan.guards, experiment.guards, strict=True):
        if guard.metric == "error_rate":
            if guard.crossed_by_errors(tally.requests, tally.errors):
                return f"guard {text}: {tally.errors} of {tally.requests} requests failed"
        elif guard.crossed_by_latencies(
            *(each.latencies.get(guard.metric, Latencies()) for each in (tally, reference))
        ):
            return f"guard {text}: {_slow(guard, tally, reference)}"
    return None


def recommended(experiment: Experiment, looks: Sequence[Look], costs: Mapping[int, int]) -> str | None:
    """The arm of the cheapest version that is not worse than any other by the margin; None while that is open.

    A cheaper version must be worse than some other, or stopped, before a dearer one is recommended.

    Args:
        experiment: the experiment.
        looks: all looks, oldest first.
        costs: version -> parameters.
    """
    margin, newest = experiment.plan.margin, {(look.arm, look.other): look for look in looks}
    for arm in sorted(experiment.open_arms, key=lambda each: costs.get(each.version, 0)):
        against = [_between(newest, arm.name, other.name) for other in experiment.open_arms if other is not arm]
        if all(sequence.low > -margin for sequence in against):
            return arm.name
        if not any(sequence.high < -margin for sequence in against):
            return None
    return None


def is_mismatched(experiment: Experiment, callers: Mapping[str, int]) -> bool:
    """Whether callers surely do not fall on the arms as the weights say (one false alarm in a thousand experiments)."""
    return log_mismatch(callers, experiment.shares) >= math.log(1000)


def spelled(look: Look) -> str:
    """An interval for people, in points."""
    return f"{100 * look.difference:+.1f} points ({100 * look.low:+.1f} to {100 * look.high:+.1f})"


def _between(newest: Mapping[tuple[str, str], Look], arm: str, other: str) -> ConfidenceSequence:
    if look := newest.get((arm, other)):
        return ConfidenceSequence(look.low, look.high)
    look = newest.get((other, arm))
    return ConfidenceSequence(-look.high, -look.low) if look else ConfidenceSequence()


def _new_looks(
    experiment: Experiment, tallies: Mapping[str, Tally], last: Sequence[Look], moment: datetime
) -> tuple[Look, ...]:
    before = {(look.arm, look.other): look for look in last}
    pairs = [(later.name, earlier.name) for earlier, later in combinations(experiment.arms, 2)]
    looks = [
        _look(experiment, tallies, pair, before.get(pair), moment)
        for pair in pairs
        if _has_grown(tallies, pair, before.get(pair))
    ]
    return tuple(looks)


def _has_grown(tallies: Mapping[str, Tally], pair: tuple[str, str], seen: Look | None) -> bool:
    """Whether there is enough more than at the last look."""
    (arm, other), counts = pair, _counts(tallies, pair)
    if seen is None:
        known = all(tallies.get(name, Tally()).scores.mean is not None for name in (arm, other))
        return known or counts[1] > 0
    return any(now >= max(was + 1, _MORE * was) for now, was in zip(counts, (seen.count, seen.pairs), strict=True))


def _counts(tallies: Mapping[str, Tally], pair: tuple[str, str]) -> tuple[int, int]:
    """Scored requests of both arms, and those that both answered."""
    arm, other = (tallies.get(name, Tally()) for name in pair)
    return int(arm.scores.count + other.scores.count), int(arm.paired.get(pair[1], PairedScores()).count)


def _look(
    experiment: Experiment, tallies: Mapping[str, Tally], pair: tuple[str, str], seen: Look | None, moment: datetime
) -> Look:
    """Both intervals hold, of split and of paired requests; the difference is estimated from what gives the narrower one."""
    arm, other = (tallies.get(name, Tally()) for name in pair)
    paired, alpha = arm.paired.get(pair[1], PairedScores()), experiment.alpha
    split = ConfidenceSequence().look(arm.scores, other.scores, alpha)
    both = ConfidenceSequence().look_at_pairs(paired, alpha) if paired.count else ConfidenceSequence()
    means = arm.scores.mean, other.scores.mean
    difference = 0.0 if means[0] is None or means[1] is None else means[0] - means[1]
    if both.high - both.low < split.high - split.low and paired.difference is not None:
        difference = paired.difference
    narrowest = ConfidenceSequence(seen.low, seen.high) if seen else ConfidenceSequence()
    for found in (split, both):
        narrowest = narrowest.narrowed(found.low, found.high)
    count, pairs = _counts(tallies, pair)
    return Look(
        arm=pair[0],
        other=pair[1],
        count=count,
        at=moment,
        difference=difference,
        low=narrowest.low,
        high=narrowest.high,
        pairs=pairs,
    )


def _slow(guard: Guard, tally: Tally, reference: Tally) -> str:
    share = 1 - guard.share
    mine, theirs = (
        each.latencies.get(guard.metric, Latencies()).quantile(share) or math.nan for each in (tally, reference)
    )
    return f"{mine:.3g} s in {tally.requests} requests, and {theirs:.3g} s on the reference arm"
