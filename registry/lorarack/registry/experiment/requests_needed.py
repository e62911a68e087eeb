"""How much feedback an experiment will take, estimated before it begins."""

import math
from collections.abc import Callable

from lorarack.registry.experiment.paired import expected_pairs
from lorarack.registry.experiment.scores import Scores
from lorarack.registry.experiment.sequence import log_difference_above

#: More is no number that somebody waits for.
MOST = 2**33


def requests_needed(pilot: Scores, shares: tuple[float, float], margin: float, alpha: float = 0.05) -> int | None:
    """About how many scored requests show that a challenger that is as good as the reference is not worse by ``margin``.

    Of all arms together; found where the evidence at the expected scores is what a verdict takes. Half of them need fewer.

    Args:
        pilot: scores of the reference from earlier; at least one.
        shares: of all requests that the reference and the challenger get, each above 0.
        margin: of the verdict.
        alpha: of the interval between the two.

    Returns:
        None: more than ``MOST``.
    """
    one = pilot.times(1 / pilot.count)

    def evidence(count: int) -> float:
        reference, challenger = (one.times(count * share) for share in shares)
        return log_difference_above(challenger, reference, -margin)

    return _smallest(evidence, math.log(2 / alpha))


def pairs_needed(differing: float, share: float, margin: float, alpha: float = 0.05) -> int | None:
    """About how many scored requests that both arms answer show the same.

    Args:
        differing: share of the requests to which the arms give different answers; above 0.
        share: the challenger's, of the requests of the two.
        margin: of the verdict.
        alpha: of the interval between the two.

    Returns:
        None: more than ``MOST``.
    """
    return _smallest(lambda count: expected_pairs(count, differing, share).log_above(-margin), math.log(2 / alpha))


def _smallest(evidence: Callable[[int], float], level: float) -> int | None:
    """The smallest count, to a hundredth, whose evidence reaches ``level``."""
    high = 1
    while evidence(high) < level:
        high *= 2
        if high > MOST:
            return None
    low = high // 2
    while high - low > max(1, low // 100):
        middle = (low + high) // 2
        low, high = (low, middle) if evidence(middle) >= level else (middle, high)
    return high
