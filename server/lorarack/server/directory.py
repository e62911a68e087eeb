"""The registry as requests see it: a snapshot in memory, kept fresh off the request path.

An alias moved elsewhere is seen after one poll. A reference that the snapshot does not know costs one look into the catalog
at once, so a version just published answers: also where a client asked for it a moment too early. Many at once share a look,
and what to say about an unknown name, with names near it, is worked out once for each snapshot.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from difflib import get_close_matches
from typing import Protocol

from lorarack.registry import Snapshot, Version
from lorarack.registry.errors import LorarackError, NotFound

log = logging.getLogger(__name__)

POLL_SECONDS = 0.25
#: How many unknown references keep their answer until the registry changes.
UNKNOWN_KEPT = 1024


class Source(Protocol):
    """What the directory needs of a registry."""

    def changes(self) -> int:
        """A number that grows with every committed write."""

    def snapshot(self, since: Snapshot | None = None) -> Snapshot:
        """Everything, of one moment; from ``since`` the work grows with what has changed only."""


class Directory:
    """Resolves references for one event loop. Registry calls run one after the other in a thread of their own."""

    def __init__(self, source: Source, *, base_names: tuple[str, ...] = ()) -> None:
        self._source = source
        self._base_names = base_names
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lorarack-directory")
        self._lock = asyncio.Lock()
        self._snapshot: Snapshot | None = None
        self._looks_begun = 0
        self._last_look = 0
        self._unknown: OrderedDict[str, NotFound] = OrderedDict()
        self._complained: str | None = None

    @property
    def snapshot(self) -> Snapshot:
        """The newest snapshot. ``start`` or ``refresh`` comes first."""
        if self._snapshot is None:
            raise RuntimeError("the directory has no snapshot yet: await refresh() first")
        return self._snapshot

    async def refresh(self) -> None:
        """Take a new snapshot if the registry has changed. Calls that wait at the same time share one look.

        Raises:
            StoreError: the catalog cannot be read.
        """
        begun = self._looks_begun
        async with self._lock:
            if self._last_look > begun:
                return  # somebody's look began after this call did, and has succeeded
            self._looks_begun += 1
            loop = asyncio.get_running_loop()
            if self._snapshot is not None:
                changes = await loop.run_in_executor(self._thread, self._source.changes)
            if self._snapshot is None or changes != self._snapshot.changes:
                self._snapshot = await loop.run_in_executor(self._thread, self._source.snapshot, self._snapshot)
                self._unknown.clear()
            self._last_look = self._looks_begun

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
        found = self._look_up(reference)
        if isinstance(found, NotFound):
            await self.refresh()
            found = self._look_up(reference)
        if isinstance(found, NotFound):
            # A new one: what is raised keeps the request that it went through, and what is remembered must not.
            raise NotFound(found.message, code=found.code, near=found.near)
        return found

    def _look_up(self, reference: str) -> Version | NotFound:
        """What the snapshot says of ``reference``."""
        if reference in self._unknown:
            return self._unknown[reference]
        try:
            return self.snapshot.resolve(reference)
        except NotFound as error:
            return self._remember(reference, error)

    def _remember(self, reference: str, error: NotFound) -> NotFound:
        near = [] if error.near else get_close_matches(reference, self._base_names, n=1)
        if near:
            error = NotFound(f"{error.message} Did you mean the base model {near[0]!r}?", code=error.code, near=near)
        self._unknown[reference] = error
        while len(self._unknown) > UNKNOWN_KEPT:
            self._unknown.popitem(last=False)
        return error
