"""How many rows would decide."""

import math
from collections.abc import Sequence

from scipy.special import ndtri

from lorarack.adapters.comparison.paired import Pair

#: The share of comparisons of that many rows that end in an answer.
POWER = 0.8
_MOST = 10_000_000


def rows_needed(pairs: Sequence[Pair], margin: float, level: float, rows: int) -> int:
    """About how many rows show that a version is not worse, if it is truly as good as the others.

    Where there are as many already, the version seems to lie near the margin; the number is then what would tell on which
    side, if the differences stay as they are.

    Args:
        pairs: the version against each other one.
        margin: of the rule.
        level: of the test.
        rows: how many there are now, in whatever units.
    """
    if_equal = max(_needed(pair, margin, level, rows) for pair in pairs)
    if if_equal > rows:
        return if_equal
    as_seen = max(_needed(pair, max(abs(pair.estimate + margin), margin / 100), level, rows) for pair in pairs)
    return max(as_seen, rows + 1)


def _needed(pair: Pair, distance: float, level: float, rows: int) -> int:
    """Normal distribution; but never fewer than it takes to have seen a rare total loss."""
    standard = (float(ndtri(1 - level)) + float(ndtri(POWER))) * pair.spread / distance
    unseen = math.log(level) / math.log1p(-min(distance, 0.999))
    return min(_MOST, math.ceil(max(standard**2, unseen) * rows / pair.units))
