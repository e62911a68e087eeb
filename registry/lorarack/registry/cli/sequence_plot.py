"""A confidence sequence as a plot of text: requests to the right, the difference upwards, the interval as bars."""

import math
from collections.abc import Sequence

from lorarack.registry.experiment.observed import Look

_WIDTH, _HEIGHT = 60, 11


def plot(title: str, looks: Sequence[Look], margin: float) -> str:
    """The plot of one pair's looks, oldest first; at least one. Rows of 0 and of minus the margin are ruled.

    Columns are spaced by the logarithm of the count, as intervals narrow.
    """
    columns = [_at(looks, column) for column in range(_WIDTH)]
    later = [look for look in columns if look is not None]
    # The first intervals say nothing; the scale is that of the narrower half, and of the margin.
    reach = max(2 * margin, sorted(max(abs(look.low), abs(look.high)) for look in later)[len(later) // 2])
    levels = [reach * (1 - 2 * row / (_HEIGHT - 1)) for row in range(_HEIGHT)]
    zero, bound = (min(range(_HEIGHT), key=lambda row: abs(levels[row] - value)) for value in (0.0, -margin))
    lines = [f"{title}, {looks[0].count:,} to {looks[-1].count:,} scored requests"]
    step = reach / (_HEIGHT - 1)
    for row, level in enumerate(levels):
        ruled = "─" if row == zero else "╌" if row == bound else " "
        cells = "".join(_cell(look, level, step) or ruled for look in columns)
        label = "0" if row == zero else f"{-100 * margin:+g}" if row == bound else f"{100 * level:+.1f}"
        lines.append(f"{label:>7} ┤{cells}")
    return "\n".join(lines)


def _at(looks: Sequence[Look], column: int) -> Look | None:
    first, last = math.log(looks[0].count), math.log(max(looks[-1].count, looks[0].count + 1))
    here = first + (last - first) * column / (_WIDTH - 1)
    return next((look for look in reversed(looks) if math.log(look.count) <= here + 1e-9), None)


def _cell(look: Look | None, level: float, step: float) -> str | None:
    if look is None:
        return None
    if abs(look.difference - level) <= step:
        return "•"
    return "│" if look.low - step <= level <= look.high + step else None
