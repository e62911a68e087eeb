"""How many rows would decide."""

import math
from collections.abc import Sequence

from scipy.special import ndtri

from lorarack.adapters.comparison.paired import Pair

#: The share of comparisons of that many rows that end in an answer.
POWER = 0.8
_MOST = 10_000_000


def rows_needed(pairs: Sequence[Pair], margin: float, level: float, rows: int) -> int:
    """About how many rows decide whether a version is not worse, if it is truly as good as the others.

    Where the rows already speak against that, or are as many already, it is how many would tell on which side of the margin
    the version is if the difference stays as it is seen; near the margin that is very many.

    Args:
        pairs: the version against each other one.
        margin: of the rule.
        level: of the test.
        rows: how many there are now, in whatever units.
    """
    return max(rows + 1, *(_for_pair(pair, margin, level, rows) for pair in pairs))


def _for_pair(pair: Pair, margin: float, level: float, rows: int) -> int:
    error = pair.spread / math.sqrt(pair.units)
    if_equal = _needed(pair, margin, level, rows)
    may_be_equal = pair.estimate >= float(ndtri(0.025)) * error
    if pair.p_value(-margin) <= level or (may_be_equal and if_equal > rows):
        return if_equal
    return _needed(pair, max(abs(pair.estimate + margin), margin / 10), level, rows)


def _needed(pair: Pair, distance: float, level: float, rows: int) -> int:
    """Normal distribution; but never fewer than it takes to have seen a rare total loss."""
    standard = (float(ndtri(1 - level)) + float(ndtri(POWER))) * pair.spread / distance
    unseen = math.log(level) / math.log1p(-min(distance, 0.999))
    return min(_MOST, math.ceil(max(standard**2, unseen) * rows / pair.units))
