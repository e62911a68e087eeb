"""Loads versions when a request first names them, unloads them when nothing may ask for them any more.

The table is our own, so reading it never waits for the engine, whose loop is busy with a step most of the time.
"""

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from contextvars import copy_context
from typing import IO

from lorarack.registry import Snapshot, State, Version
from lorarack.registry.errors import EngineError, LorarackError, NotServeable
from lorarack.server.background import go_behind_the_engine
from lorarack.server.engine_port import EnginePort
from lorarack.server.limits import Limits, check_serveable
from lorarack.server.proof import Proof
from lorarack.server.residency_table import (
    Failure,
    ResidencyObserver,
    ResidencyTable,
    Row,
    RowState,
    key_of,
    retry_seconds,
)  # fmt: skip
from lorarack.server.spans import span

log = logging.getLogger(__name__)

#: How many versions are fetched and verified at a time, each in a thread, so that none waits for a slow one.
FETCHES = 32


class Residency:
    """Loads versions on demand: files concurrently and off the event loop, into the engine one at a time."""

    def __init__(
        self,
        engine: EnginePort,
        open_copy: Callable[[Version], IO[bytes]],
        limits: Limits,
        *,
        capacity: int | None = None,
        probe: Callable[[Version], Awaitable[Proof]] | None = None,
        observer: ResidencyObserver | None = None,
    ) -> None:
        """Over an engine.

        Args:
            engine: what loads and unloads.
            open_copy: a verified copy of a version's files (`local_cache`).
            limits: what can be served.
            capacity: how many versions the engine keeps; then the least recently used one makes way. More only while all
                answer requests or are pinned. None: as many as are asked for.
            probe: looks at a version once it is loaded, before any request is answered by it.
            observer: is told of loads.
        """
        self.limits = limits
        self.capacity = capacity
        self.table = ResidencyTable()
        self._engine = engine
        self._open_copy = open_copy
        self._probe = probe
        self._observer = observer or ResidencyObserver()
        self._files = ThreadPoolExecutor(FETCHES, "lorarack-files", initializer=go_behind_the_engine)
        self._engine_lock = asyncio.Lock()
        #: Whether the engine may hold more than its number.
        self._exceeded = False

    @asynccontextmanager
    async def use(self, version: Version) -> AsyncIterator[None]:
        """Have the engine hold ``version`` inside the block.

        Raises:
            Conflict: it is archived or quarantined, perhaps just now.
            NotServeable: this server cannot serve it whole, or it changes nothing.
            EngineError: the engine would not take it.
            Damaged: its stored files are not what was published.
            NotFound: it was deleted.
            StoreError: its files cannot be read now.
        """
        check_serveable(version, self.limits)
        row = self.table.row(version)
        row.requests += 1
        row.idle.clear()
        try:
            await self._ensure(row)
            yield
        finally:
            row.requests -= 1
            row.last_used = time.time()
            if not row.requests:
                row.idle.set()
                self._evict_excess()
            self.table.tidy(row)

    async def ensure(self, version: Version) -> None:
        """Load ``version`` unless it is loaded. Raises as `use`."""
        async with self.use(version):
            pass

    def pin(self, versions: Sequence[Version]) -> None:
        """Keep exactly these from being evicted, loaded or not."""
        keys = {key_of(version) for version in versions}
        for version in versions:
            self.table.row(version).pinned = True
        for row in self.table:
            row.pinned = row.key in keys
            self.table.tidy(row)

    def let_go(self, version: Version) -> None:
        """Unload ``version`` after its last request, unless it is wanted again before. Pinned ones stay."""
        row = self.table.find(key_of(version))
        if row is not None and row.state is RowState.READY and not row.pinned:
            self._start_unload(row)

    def refuse(self, version: Version, error: LorarackError, seconds: float) -> None:
        """Refuse ``version`` with ``error`` for ``seconds``, and unload it."""
        row = self.table.row(version)
        row.failure = Failure(error, time.monotonic() + seconds)
        self._withdraw(row)
        if row.task is None:
            row.state = RowState.FAILED

    def request_failed(self, name: str, reason: str, permanent: bool) -> None:
        """The engine failed a request to a loaded version: unload it, and if ``permanent`` refuse it until this server ends."""
        for row in self.table:
            if row.state is RowState.READY and row.version.reference == name:
                if permanent:
                    log.error("%s It is refused until this server ends.", reason)
                    error = NotServeable(f"{reason} This server refuses it.", code="not_finite")
                    self.refuse(row.version, error, math.inf)
                else:
                    self._withdraw(row)

    @property
    def resident(self) -> frozenset[str]:
        """References of the versions that the engine holds."""
        return frozenset(version.reference for version in self.loaded)

    @property
    def loaded(self) -> tuple[Version, ...]:
        """The versions that the engine holds, and that requests may name."""
        return tuple(row.version for row in self.table if row.state is RowState.READY)

    def follow(self, snapshot: Snapshot) -> None:
        """Unload what is deleted, archived or quarantined, also while it is being loaded."""
        for row in self.table:
            now = snapshot.find(row.version.adapter, row.version.number)
            same = now is not None and key_of(now) == row.key
            if row.state is RowState.FAILED:
                if not same:
                    row.failure = None
                    self.table.tidy(row)
            elif now is None or not same or now.state is not State.READY:
                self._withdraw(row)

    def _withdraw(self, row: Row) -> None:
        if row.state is RowState.READY:
            self._start_unload(row)
        elif row.state in (RowState.FETCHING, RowState.LOADING) and row.task is not None:
            row.withdrawn = True

    async def _ensure(self, row: Row) -> None:
        while True:
            row.raise_if_refused()
            if row.state is RowState.READY:
                return
            if row.state is RowState.DRAINING and not row.unloading:
                assert row.task is not None  # noqa: S101 - a drain is a task
                row.task.cancel()  # wanted again before it was unloaded
                row.task, row.state = None, RowState.READY
                return
            with span("lorarack.wait_for_load", row.version):
                if row.task is None:
                    row.state, row.failure, row.withdrawn = RowState.FETCHING, None, False
                    row.task = asyncio.create_task(self._load(row))
                    row.task.add_done_callback(lambda done: self._load_ended(row, done))
                # Others may wait for the same: a client that hangs up must not stop it.
                await asyncio.shield(row.task)

    async def _load(self, row: Row) -> None:
        version, started = row.version, time.perf_counter()
        try:
            loop, in_context = asyncio.get_running_loop(), copy_context().run
            with await loop.run_in_executor(self._files, in_context, self._open_copy, version) as copy:
                fetched = time.perf_counter()
                await self._make_way(row)
                async with self._engine_lock:
                    row.raise_if_withdrawn()
                    row.state = RowState.LOADING
                    async with self._room():
                        with span("lorarack.load.engine", version):
                            await self._engine.load(version.reference, version.digest, version.engine_id, copy)
            in_engine = time.perf_counter()
            if row.proof is None and self._probe is not None:
                row.proof = await self._look_at(self._probe, version)
        except LorarackError:
            raise
        except Exception as error:
            log.exception("%s could not be loaded.", version.reference)
            raise EngineError(f"{version.reference} could not be loaded: {type(error).__name__}: {error}") from error
        row.load_seconds = (now := time.perf_counter()) - started
        row.state, row.task, row.last_used = RowState.READY, None, time.time()
        self._observer.loaded(version, row.load_seconds)
        if row.withdrawn:
            self._start_unload(row)
            row.raise_if_withdrawn()
        log.info(
            "Loaded %s (rank %d): files %.0f ms, engine %.0f ms, probe %.0f ms.",
            version.reference, version.rank, (fetched - started) * 1e3, (in_engine - fetched) * 1e3, (now - in_engine) * 1e3,
        )  # fmt: skip

    async def _look_at(self, probe: Callable[[Version], Awaitable[Proof]], version: Version) -> Proof:
        try:
            with span("lorarack.load.probe", version):
                return await probe(version)
        except BaseException:
            async with self._engine_lock:
                await self._engine.unload(version.engine_id)
            raise

    def _load_ended(self, row: Row, task: "asyncio.Task[None]") -> None:
        error = None if task.cancelled() else task.exception()  # everybody who waited may have hung up
        if row.task is not task:  # it was loaded, and perhaps is unloaded by now
            return
        row.task, row.state = None, RowState.FETCHING
        seconds = retry_seconds(error)
        if isinstance(error, LorarackError) and seconds:
            row.failure, row.state = Failure(error, time.monotonic() + seconds), RowState.FAILED
            self._observer.failed(row.version)
        elif row.refused_for:  # refused while it was loaded
            row.state = RowState.FAILED
        self.table.tidy(row)

    async def _make_way(self, row: Row) -> None:
        """Unload everything with the same name or engine id."""
        while others := [other for other in self.table.colliding(row) if other.in_engine]:
            for other in others:
                if other.state is RowState.READY:
                    self._start_unload(other)
            await asyncio.wait([other.task for other in others if other.task is not None])

    @asynccontextmanager
    async def _room(self) -> AsyncIterator[None]:
        """Unload what was used longest ago, as many as the engine has beyond its number. Holds the engine's lock.

        The engine does what it is told in order, so a load need not wait for its answer to the unload before it.
        """
        evicting: dict[asyncio.Task[None], Row] = {}
        for _ in range(self.table.held - self.capacity if self.capacity is not None else 0):
            if (row := self.table.least_recently_used()) is None:
                self._exceeded = True
                break
            row.state, row.unloading = RowState.DRAINING, True
            row.task = asyncio.create_task(self._take_out(row))
            evicting[row.task] = row
        try:
            await asyncio.sleep(0)  # lets the unloads be sent
            yield
        finally:
            for task, row in evicting.items():
                await task
                self._observer.evicted(row.version)

    def _evict_excess(self) -> None:
        """Unload what could not make way because everything answered requests, once something does not."""
        if self._exceeded and self.capacity is not None:
            self._exceeded = self.table.staying > self.capacity
            if self._exceeded and (row := self.table.least_recently_used()) is not None:
                self._start_unload(row)
                self._observer.evicted(row.version)

    def _start_unload(self, row: Row) -> None:
        row.state = RowState.DRAINING
        row.task = asyncio.create_task(self._unload(row))

    async def _unload(self, row: Row) -> None:
        """Unload, after the last request that it answers: the engine would read it again for the rest of that one."""
        while row.requests:
            await row.idle.wait()
        async with self._engine_lock:
            row.unloading = True
            await self._take_out(row)
        log.info("Unloaded %s.", row.version.reference)

    async def _take_out(self, row: Row) -> None:
        try:
            await self._engine.unload(row.version.engine_id)
        except EngineError as error:
            log.warning("%s is no longer routed but could not be unloaded: %s", row.version.reference, error.message)
        finally:
            row.task, row.unloading = None, False
            row.state = RowState.FAILED if row.refused_for else RowState.FETCHING
            self.table.tidy(row)
