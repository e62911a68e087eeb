"""Numbers as people read them."""

from lorarack.adapters.comparison.intervals import Interval


def points(share: float) -> str:
    """A difference of shares in percentage points, always with its sign: ``+12.5``."""
    return f"{100 * share:+.1f}"


def span(interval: Interval) -> str:
    """``95 % CI +4.1 to +20.9``, in points."""
    return f"{100 * interval.confidence:.4g} % CI {points(interval.low)} to {points(interval.high)}"


def share(interval: Interval) -> str:
    """``87.5 % (79–93)``."""
    return f"{100 * interval.mean:.1f} % ({100 * interval.low:.0f}–{100 * interval.high:.0f})"
