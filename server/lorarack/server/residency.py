"""Which versions the engine holds, and loading one when a request first names it.

The table is our own, so reading it never waits for the engine, whose loop is busy with a step most of the time.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import IO, TypeAlias

from lorarack.registry import Snapshot, State, Version
from lorarack.registry.errors import Conflict, Damaged, EngineError, LorarackError, NotServeable, StoreError
from lorarack.server.engine_port import EnginePort
from lorarack.server.in_flight import InFlight
from lorarack.server.limits import Limits, check_serveable

log = logging.getLogger(__name__)

#: How many versions are fetched and verified at a time, each in a thread, so that none waits for a slow one.
FETCHES = 32
#: Seconds for which a version that failed to load is refused without another try: after a registry's error, and after an engine's.
STORE_RETRY_SECONDS = 2.0
ENGINE_RETRY_SECONDS = 30.0


Key: TypeAlias = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class _Failure:
    error: LorarackError
    until: float


class Residency:
    """Loads versions on demand: files concurrently and off the event loop, into the engine one at a time."""

    def __init__(self, engine: EnginePort, open_copy: Callable[[Version], IO[bytes]], limits: Limits) -> None:
        self.limits = limits
        self.in_flight = InFlight()
        self._engine = engine
        self._open_copy = open_copy
        self._files = ThreadPoolExecutor(max_workers=FETCHES, thread_name_prefix="lorarack-files")
        self._loaded: dict[Key, Version] = {}
        self._loading: dict[Key, tuple[Version, asyncio.Task[None]]] = {}
        self._withdrawn: set[Key] = set()
        self._failures: dict[Key, _Failure] = {}
        self._unload_tasks: dict[Key, asyncio.Task[None]] = {}
        self._unloading: set[Key] = set()
        self._engine_lock = asyncio.Lock()

    async def ensure(self, version: Version) -> str:
        """Load ``version`` unless it is loaded; the engine's name for it.

        Raises:
            Conflict: it is archived or quarantined, perhaps just now.
            NotServeable: this server cannot serve it whole.
            EngineError: the engine would not take it.
            Damaged: its stored files are not what was published.
            NotFound: it was deleted.
            StoreError: its files cannot be read now.
        """
        check_serveable(version, self.limits)
        key = key_of(version)
        if key not in self._loaded:
            self._raise_if_refused(key)
            if key not in self._loading:
                task = asyncio.create_task(self._load(version, key))
                self._loading[key] = version, task
                task.add_done_callback(lambda done: self._done(key, done))
            # Others may wait for the same load: a client that hangs up must not stop it.
            await asyncio.shield(self._loading[key][1])
        return version.reference

    def refuse(self, version: Version, error: LorarackError, seconds: float) -> None:
        """Refuse ``version`` with ``error`` for ``seconds``, and unload it."""
        key = key_of(version)
        self._failures[key] = _Failure(error, time.monotonic() + seconds)
        self._withdraw(key)

    def request_failed(self, name: str, reason: str, permanent: bool) -> None:
        """The engine failed a request to a loaded version: unload it, and if ``permanent`` refuse it until this server ends."""
        for version in [version for version in self._loaded.values() if version.reference == name]:
            if permanent:
                log.error("%s It is refused until this server ends.", reason)
                self.refuse(version, NotServeable(f"{reason} This server refuses it.", code="not_finite"), math.inf)
            else:
                self._withdraw(key_of(version))

    @property
    def resident(self) -> frozenset[str]:
        """References of the versions that the engine holds."""
        return frozenset(version.reference for version in self._loaded.values())

    @property
    def loaded(self) -> tuple[Version, ...]:
        """The versions that the engine holds."""
        return tuple(self._loaded.values())

    def follow(self, snapshot: Snapshot) -> None:
        """Unload what is deleted, archived or quarantined, also while it is being loaded."""
        loading = {key: version for key, (version, _) in self._loading.items()}
        for key, version in {**self._loaded, **loading}.items():
            if not _is_current(version, snapshot):
                self._withdraw(key)

    def _withdraw(self, key: Key) -> None:
        if key in self._loaded:
            self._start_unload(key)
        elif key in self._loading:
            self._withdrawn.add(key)

    def _raise_if_refused(self, key: Key) -> None:
        failure = self._failures.get(key)
        if failure is None:
            return
        if time.monotonic() < failure.until:
            # A new one: what is raised keeps the request that it went through, and what is remembered must not.
            raise type(failure.error)(failure.error.message, code=failure.error.code)
        del self._failures[key]

    def _done(self, key: Key, task: asyncio.Task[None]) -> None:
        self._loading.pop(key, None)
        self._withdrawn.discard(key)
        error = None if task.cancelled() else task.exception()  # everybody who waited may have hung up
        if isinstance(error, EngineError | Damaged):
            self._failures[key] = _Failure(error, time.monotonic() + ENGINE_RETRY_SECONDS)
        elif isinstance(error, StoreError):
            self._failures[key] = _Failure(error, time.monotonic() + STORE_RETRY_SECONDS)

    async def _load(self, version: Version, key: Key) -> None:
        started = time.perf_counter()
        try:
            with await asyncio.get_running_loop().run_in_executor(self._files, self._open_copy, version) as copy:
                fetched = time.perf_counter()
                await self._make_way(key)
                async with self._engine_lock:
                    self._raise_if_withdrawn(version, key)
                    await self._engine.load(version.reference, version.digest, version.engine_id, copy)
        except LorarackError:
            raise
        except Exception as error:
            log.exception("%s could not be loaded.", version.reference)
            raise EngineError(f"{version.reference} could not be loaded: {type(error).__name__}: {error}") from error
        self._loaded[key] = version
        if key in self._withdrawn:
            self._start_unload(key)
            self._raise_if_withdrawn(version, key)
        log.info(
            "Loaded %s (rank %d): files %.0f ms, engine %.0f ms.",
            version.reference, version.rank, (fetched - started) * 1e3, (time.perf_counter() - fetched) * 1e3,
        )  # fmt: skip

    async def _make_way(self, key: Key) -> None:
        """Unload everything with the same name or engine id: a restored catalog may have given them to other versions."""
        for other in [other for other in self._loaded if _collide(key, other)]:
            self._start_unload(other)
        if key in self._unload_tasks and key not in self._unloading:
            self._unload_tasks[key].cancel()  # wanted again before it was unloaded
        while pending := [task for other, task in self._unload_tasks.items() if _collide(key, other)]:
            await asyncio.wait(pending)

    def _raise_if_withdrawn(self, version: Version, key: Key) -> None:
        if key in self._withdrawn:
            self._raise_if_refused(key)
            raise Conflict(
                f"{version.reference} was archived, quarantined or deleted while it was loaded; ask for another version.",
                code="not_ready",
            )

    def _start_unload(self, key: Key) -> None:
        task = asyncio.create_task(self._unload(self._loaded.pop(key), key))
        self._unload_tasks[key] = task
        task.add_done_callback(lambda done: self._unloaded(key, done))

    def _unloaded(self, key: Key, task: asyncio.Task[None]) -> None:
        if self._unload_tasks.get(key) is task:
            del self._unload_tasks[key]

    async def _unload(self, version: Version, key: Key) -> None:
        """Unload, after the last request that it answers: the engine would read it again for the rest of that one."""
        await self.in_flight.idle(key)
        self._unloading.add(key)
        try:
            async with self._engine_lock:
                await self._engine.unload(version.engine_id)
            log.info("Dropped %s, which is not to be served any more.", version.reference)
        except EngineError as error:
            log.warning("%s is no longer routed but could not be unloaded: %s", version.reference, error.message)
        finally:
            self._unloading.discard(key)


def key_of(version: Version) -> Key:
    """What identifies a loaded version: its reference, its bytes and its engine id."""
    return version.reference, version.digest, version.engine_id


def _collide(key: Key, other: Key) -> bool:
    return key[0] == other[0] or key[2] == other[2]


def _is_current(version: Version, snapshot: Snapshot) -> bool:
    """Whether the registry still has this version, with the same bytes, and ready."""
    now = snapshot.find(version.adapter, version.number)
    return now is not None and key_of(now) == key_of(version) and now.state is State.READY
