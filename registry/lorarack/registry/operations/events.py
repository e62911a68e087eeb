"""For those who follow a registry: what has changed, and everything of one moment."""

from typing import TYPE_CHECKING

from lorarack.registry.catalog.reader import LARGEST
from lorarack.registry.errors import UsageError
from lorarack.registry.operations.parts import Parts
from lorarack.registry.values import Event

if TYPE_CHECKING:
    from lorarack.registry.snapshot import Snapshot


class FollowingOperations(Parts):
    """What can be followed."""

    def changes(self) -> int:
        """A number that grows with every committed write; cheap to ask for."""
        return self._reader.changes()

    def snapshot(self, since: "Snapshot | None" = None) -> "Snapshot":
        """Everything in memory, of one moment; from ``since`` the work grows with what has changed only."""
        from lorarack.registry.catalog.snapshots import take_snapshot

        return take_snapshot(self._database, since)

    def events(self, after: int = 0, limit: int = 1000, adapter: str | None = None) -> tuple[Event, ...]:
        """What happened (to one adapter) behind cursor ``after``, oldest first; the last one's cursor asks for more.

        Raises:
            UsageError: a limit below 1. NotFound: no such adapter.
        """
        if limit < 1:
            raise UsageError(f"A limit of {limit} shows nothing; give 1 or more.", code="bad_limit")
        if adapter is not None:
            self._check_known(adapter)
        return self._reader.events(min(after, LARGEST), min(limit, LARGEST), adapter)
