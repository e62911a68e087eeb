"""The registry as requests see it: a snapshot in memory, kept fresh off the request path.

A moved alias is seen once its write is heard of (`file_watch`), else after one poll. An unknown reference costs one read of the
catalog at once, so that a version just published answers, also if it was asked for a moment too early. Concurrent requests share
one read. Suggestions for unknown names are computed once per snapshot, in a thread of their own.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from lorarack.registry import Snapshot, Version
from lorarack.registry.errors import BadReference, NotFound, StoreError
from lorarack.registry.reference import Reference, parse_reference
from lorarack.registry.resolve import find_version
from lorarack.server.background import reason_of, repeat
from lorarack.server.close_names import CloseNames

log = logging.getLogger(__name__)

POLL_SECONDS = 0.25
#: Seconds that a request for an unknown name waits for the catalog.
REFRESH_TIMEOUT = 5.0
#: How many unknown names may wait for suggestions; further ones get none.
MAX_SUGGESTIONS_PENDING = 64


class Source(Protocol):
    """What the resolver needs of a registry."""

    def snapshot(self, since: Snapshot | None = None) -> Snapshot:
        """Everything, of one moment: ``since`` itself where nothing has changed, else work that grows with the changes."""


class ReferenceResolver:
    """Resolves references for one event loop. Registry calls run one after the other in a thread of their own."""

    def __init__(self, source: Source, *, base_names: tuple[str, ...] = ()) -> None:
        self._source = source
        self._base_names = base_names
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lorarack-resolver")
        self._names_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lorarack-names")
        self._lock = asyncio.Lock()
        self._snapshot: Snapshot | None = None
        self._close_names: tuple[Snapshot, CloseNames] | None = None
        self._explaining = 0
        self._reads_started = 0
        self._last_read = 0
        self._last_success = time.monotonic()
        self._last_error = ""
        self._prepare: Callable[[Snapshot, Snapshot], Awaitable[None]] | None = None

    def prepare_with(self, prepare: Callable[[Snapshot, Snapshot], Awaitable[None]]) -> None:
        """Await ``prepare(before, after)`` before a new snapshot is used. It bounds its own time."""
        self._prepare = prepare

    @property
    def snapshot(self) -> Snapshot:
        """The newest snapshot. ``start`` or ``refresh`` comes first."""
        if self._snapshot is None:
            raise RuntimeError("there is no snapshot yet: await refresh() first")
        return self._snapshot

    @property
    def age(self) -> float:
        """Seconds since the registry was last read, and all that follows from it done."""
        return time.monotonic() - self._last_success

    @property
    def last_error(self) -> str:
        """Why it is not followed now; empty while it is."""
        return self._last_error

    async def refresh(self) -> None:
        """Take a new snapshot if the registry has changed. Concurrent calls share one read.

        Raises:
            StoreError: the catalog cannot be read.
        """
        begun = self._reads_started
        async with self._lock:
            if self._last_read > begun:
                return  # another call's read began after this call and has succeeded
            self._reads_started += 1
            number = self._reads_started
            loop = asyncio.get_running_loop()
            # Not only where the number of changes differs: a catalog brought back from a copy may have as many by now.
            before = self._snapshot
            after = await loop.run_in_executor(self._thread, self._source.snapshot, before)
            if self._prepare is not None and before is not None and after is not before:
                try:
                    await self._prepare(before, after)
                except Exception:  # a failed refresh must not end the loop
                    log.exception("What the new snapshot names could not be loaded beforehand.")
            self._snapshot = after
            self._last_read = number

    async def follow(
        self,
        changed: Callable[[Snapshot, Snapshot], None],
        seconds: float = POLL_SECONDS,
        wait: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Refresh every ``seconds``, or sooner if ``wait`` returns, until cancelled; call ``changed(before, after)`` at each new
        snapshot. An unreadable catalog changes nothing.
        """
        seen = self.snapshot

        async def refresh_and_tell() -> None:
            nonlocal seen
            try:
                await self.refresh()
                if self.snapshot is not seen:
                    now = self.snapshot
                    changed(seen, now)
                    seen = now
            except Exception as error:
                self._last_error = reason_of(error)
                raise
            self._last_success, self._last_error = time.monotonic(), ""

        await repeat(
            "The registry cannot be followed; aliases and new versions have to wait", refresh_and_tell, seconds, wait
        )

    async def resolve(self, reference: str, *, suggest: bool = True) -> Version:
        """The version that ``reference`` names now. ``suggest``: the error for an unknown name may list existing names.

        Raises:
            BadReference: it is no reference.
            NotFound: nothing of that name.
            Conflict: the version is there but its state forbids it.
            StoreError: the catalog cannot be read.
        """
        try:
            parsed = parse_reference(reference)
        except BadReference as error:
            raise (await self._error(reference, error) if suggest else error) from None
        found = self._find(parsed)
        if found is None:
            await self._refresh_in_time()
            found = self._find(parsed)
        if found is None:
            unknown = NotFound(f"There is nothing named {reference!r} in the registry.", code="unknown_reference")
            raise await self._error(reference, unknown) if suggest else unknown
        return found

    def _find(self, reference: Reference) -> Version | None:
        view = self.snapshot.adapters.get(reference.name)
        return find_version(reference, view) if view else None

    async def _refresh_in_time(self) -> None:
        try:
            await asyncio.wait_for(self.refresh(), REFRESH_TIMEOUT)
        except TimeoutError as error:
            raise StoreError("The registry does not answer; try again in a moment.") from error

    async def _error(self, reference: str, plain: NotFound | BadReference) -> NotFound | BadReference:
        """The error for an unknown name, with suggestions unless too many wait for theirs."""
        if self._explaining >= MAX_SUGGESTIONS_PENDING:
            return plain
        now = self.snapshot
        if self._close_names is None or self._close_names[0] is not now:
            self._close_names = now, CloseNames(now, self._base_names)
        self._explaining += 1
        try:
            loop = asyncio.get_running_loop()
            found = await loop.run_in_executor(self._names_thread, self._close_names[1].error, reference)
        finally:
            self._explaining -= 1
        # A new one: what is raised keeps the request that it went through, and what is remembered must not.
        if isinstance(found, BadReference):
            return BadReference(found.message)
        return NotFound(found.message, code=found.code, near=found.near)
