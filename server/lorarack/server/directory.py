"""The registry as requests see it: a snapshot in memory, kept fresh off the request path.

An alias moved elsewhere is seen after one poll. A reference that the snapshot does not know costs one look into the catalog
at once, so a version just published answers; that it is unknown is then remembered for a moment.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from difflib import get_close_matches
from typing import Protocol

from lorarack.registry import Snapshot, Version
from lorarack.registry.errors import LorarackError, NotFound

log = logging.getLogger(__name__)

POLL_SECONDS = 0.25
#: How long an unknown reference is answered from memory, and how many of them are remembered.
UNKNOWN_SECONDS = 0.5
UNKNOWN_KEPT = 1024


class Source(Protocol):
    """What the directory needs of a registry."""

    def changes(self) -> int:
        """A number that grows with every committed write."""

    def snapshot(self, since: Snapshot | None = None) -> Snapshot:
        """Everything, of one moment; from ``since`` the work grows with what has changed only."""


class Directory:
    """Resolves references for one event loop. Registry calls run one after the other in a thread of their own."""

    def __init__(
        self, source: Source, *, base_names: tuple[str, ...] = (), clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._source = source
        self._base_names = base_names
        self._clock = clock
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lorarack-directory")
        self._lock = asyncio.Lock()
        self._snapshot: Snapshot | None = None
        self._unknown: OrderedDict[str, tuple[float, NotFound]] = OrderedDict()
        self._complained: str | None = None

    @property
    def snapshot(self) -> Snapshot:
        """The newest snapshot. ``start`` or ``refresh`` comes first."""
        if self._snapshot is None:
            raise RuntimeError("the directory has no snapshot yet: await refresh() first")
        return self._snapshot

    async def refresh(self) -> bool:
        """Take a new snapshot if the registry has changed; whether it had.

        Raises:
            StoreError: the catalog cannot be read.
        """
        async with self._lock:
            loop = asyncio.get_running_loop()
            if self._snapshot is not None:
                changes = await loop.run_in_executor(self._thread, self._source.changes)
                if changes == self._snapshot.changes:
                    return False
            self._snapshot = await loop.run_in_executor(self._thread, self._source.snapshot, self._snapshot)
            self._unknown.clear()
            return True

    async def follow(self, changed: Callable[[Snapshot], None], seconds: float = POLL_SECONDS) -> None:
        """Refresh for ever; call ``changed`` with each new snapshot. While the catalog cannot be read the old one serves."""
        seen = self.snapshot
        while True:
            await asyncio.sleep(seconds)
            try:
                await self.refresh()
                self._complained = None
            except LorarackError as error:
                if self._complained != error.message:
                    log.warning("The registry cannot be read; aliases and new versions have to wait: %s", error.message)
                self._complained = error.message
            if self.snapshot is not seen:
                seen = self.snapshot
                changed(seen)

    async def resolve(self, reference: str) -> Version:
        """The version that ``reference`` names now.

        Raises:
            BadReference, NotFound, Conflict: as ``Registry.resolve``. StoreError: the catalog cannot be read.
        """
        try:
            return self.snapshot.resolve(reference)
        except NotFound:
            self._raise_if_known_to_be_unknown(reference)
        await self.refresh()
        try:
            return self.snapshot.resolve(reference)
        except NotFound as error:
            raise self._remember(reference, error) from None

    def _raise_if_known_to_be_unknown(self, reference: str) -> None:
        found = self._unknown.get(reference)
        if found is not None and self._clock() - found[0] < UNKNOWN_SECONDS:
            raise found[1]

    def _remember(self, reference: str, error: NotFound) -> NotFound:
        near = [] if error.near else get_close_matches(reference, self._base_names, n=1)
        if near:
            error = NotFound(f"{error.message} Did you mean the base model {near[0]!r}?", code=error.code, near=near)
        self._unknown[reference] = (self._clock(), error)
        self._unknown.move_to_end(reference)
        while len(self._unknown) > UNKNOWN_KEPT:
            self._unknown.popitem(last=False)
        return error
