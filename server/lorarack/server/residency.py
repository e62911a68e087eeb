"""Which versions the engine knows, and bringing one there when a request first names it."""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Protocol

from lorarack.registry import Snapshot, State, Version
from lorarack.registry.errors import EngineError, NotServeable
from lorarack.server.serveable import Limits, why_not

log = logging.getLogger(__name__)


class Engine(Protocol):
    """What residency needs of an inference engine."""

    async def load(self, name: str, digest: str, engine_id: int, copy: IO[bytes]) -> None:
        """Load the adapter from ``copy``, an open file (``adapter_copy``), and let requests name it. Raises ``EngineError``."""

    async def forget(self, name: str, engine_id: int) -> None:
        """Let no request name the adapter any more, and free its memory. Raises ``EngineError``."""

    async def resident(self) -> frozenset[int]:
        """Engine ids of the adapters in host memory. Raises ``EngineError``."""


class Residency:
    """Loads versions on demand: each once, one at a time, files off the event loop."""

    def __init__(self, engine: Engine, copy_of: Callable[[Version], IO[bytes]], limits: Limits) -> None:
        self.limits = limits
        self._engine = engine
        self._copy_of = copy_of
        self._files = ThreadPoolExecutor(max_workers=2, thread_name_prefix="lorarack-files")
        self._loaded: dict[str, Version] = {}
        self._loading: dict[str, asyncio.Task[None]] = {}
        self._engine_lock = asyncio.Lock()
        self._forgetting: set[asyncio.Task[None]] = set()

    async def ensure(self, version: Version) -> str:
        """Have the engine know ``version``; the name under which it does.

        Raises:
            NotServeable: this server cannot serve it whole. EngineError: the engine would not take it.
            Damaged, NotFound, StoreError: its files cannot be had.
        """
        if reason := why_not(version, self.limits):
            raise NotServeable(reason)
        name = version.reference
        if name not in self._loaded:
            task = self._loading.get(name)
            if task is None:
                task = asyncio.create_task(self._load(version))
                self._loading[name] = task
                task.add_done_callback(lambda _: self._loading.pop(name, None))
            # Others may wait for the same load: a client that hangs up must not stop it.
            await asyncio.shield(task)
        return name

    async def resident(self) -> frozenset[str]:
        """The versions in the engine's memory now, as references."""
        ids = await self._engine.resident()
        return frozenset(name for name, version in self._loaded.items() if version.engine_id in ids)

    @property
    def loaded(self) -> tuple[Version, ...]:
        """The versions that the engine knows."""
        return tuple(self._loaded.values())

    def follow(self, snapshot: Snapshot) -> None:
        """Drop what the registry has no more, or no longer lets anybody use."""
        for name, loaded in list(self._loaded.items()):
            now = snapshot.find(loaded.adapter, loaded.number)
            if now is not None and now.engine_id == loaded.engine_id and now.state is State.READY:
                continue
            version = self._loaded.pop(name)
            task = asyncio.create_task(self._forget(version))
            self._forgetting.add(task)
            task.add_done_callback(self._forgetting.discard)

    async def _load(self, version: Version) -> None:
        started = time.perf_counter()
        loop = asyncio.get_running_loop()
        with await loop.run_in_executor(self._files, self._copy_of, version) as copy:
            fetched = time.perf_counter()
            async with self._engine_lock:
                await self._engine.load(version.reference, version.digest, version.engine_id, copy)
        self._loaded[version.reference] = version
        log.info(
            "Loaded %s (rank %d): files %.0f ms, engine %.0f ms.",
            version.reference, version.rank, (fetched - started) * 1e3, (time.perf_counter() - fetched) * 1e3,
        )  # fmt: skip

    async def _forget(self, version: Version) -> None:
        try:
            async with self._engine_lock:
                await self._engine.forget(version.reference, version.engine_id)
            log.info("Dropped %s, which the registry has no more.", version.reference)
        except EngineError as error:
            log.warning(
                "%s is out of reach for requests, but still in the engine: %s", version.reference, error.message
            )
