"""Where the time comes from."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeAlias

#: Tells this moment, with its zone.
Clock: TypeAlias = Callable[[], datetime]


def utc_now() -> datetime:
    """This moment by this machine's clock, in UTC."""
    return datetime.now(UTC)
