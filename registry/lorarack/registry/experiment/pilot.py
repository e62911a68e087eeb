"""What earlier experiments, and the beginning of this one, tell of the number of requests that a verdict takes."""

from collections.abc import Iterable, Set

from lorarack.registry.experiment.observed import Observed
from lorarack.registry.experiment.requests_needed import pairs_needed
from lorarack.registry.experiment.scores import Scores
from lorarack.registry.experiment.shadow import ShadowCounts
from lorarack.registry.experiment.values import THUMBS

#: What the reference's scores are taken for where none were ever given: half of them right, which takes the most requests.
_UNKNOWN = Scores(count=1, total=0.5, deviation=0.25)
_SUMS = ("count", "total", "deviation")
#: Fewer scores, or fewer shadow answers, are no pilot.
_LEAST = 30


def pilot_scores(earlier: Iterable[Observed], metric: str, version: int) -> Scores:
    """The scores that ``version`` has from the first of ``earlier`` that has enough of that metric, and one in between.

    So that a few good ones promise no certainty.
    """
    for observed in earlier:
        if observed.experiment.plan.metric != metric:
            continue
        for arm in observed.experiment.arms:
            found = observed.tallies[arm.name].scores
            if arm.version == version and found.count >= _LEAST:
                sums = {name: getattr(found, name) + getattr(_UNKNOWN, name) for name in _SUMS}
                return found.model_copy(update=sums)
    return _UNKNOWN.model_copy(update={"graded": metric != THUMBS})


def pilot_differing(earlier: Iterable[Observed], versions: Set[int]) -> float | None:
    """How often the answers of exactly these versions differed in the first of ``earlier`` with enough shadows; None: in none."""
    for observed in earlier:
        if {arm.version for arm in observed.experiment.arms} == versions:
            differing = _differing(observed)
            if differing is not None:
                return differing
    return None


def pairs_to_a_verdict(observed: Observed) -> int | None:
    """Scored pairs that the challenger with the fewest requests needs, told from this experiment's own shadows; None: not yet."""
    experiment, differing = observed.experiment, _differing(observed)
    challengers = experiment.open_arms[1:]
    if differing is None or not challengers:
        return None
    share = min(experiment.pair_share(arm.name, experiment.reference.name) for arm in challengers)
    return pairs_needed(differing, share, experiment.plan.margin, experiment.alpha)


def _differing(observed: Observed) -> float | None:
    """The share of shadow answers that differ, of which one more is taken to; None of few."""
    counts = sum((tally.shadow for tally in observed.tallies.values()), ShadowCounts())
    return (counts.different + 1) / (counts.recorded + 1) if counts.recorded >= _LEAST else None
