"""Leases in the registry what this server has loaded, so that neither users nor `gc` delete it.

A lease that cannot be written never stops serving: the engine reads copies of its own, and the registry may be read-only.
"""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from lorarack.registry import Version
from lorarack.registry.errors import NotFound
from lorarack.server.background import repeat

log = logging.getLogger(__name__)

#: How long a killed server's leases last. They are renewed after a third of that.
LEASE_SECONDS = 60.0
#: How often the table of loaded versions is compared with the leases.
LOOK_SECONDS = 0.5


class LeaseStore(Protocol):
    """What leases need of a registry."""

    def lease(self, versions: Sequence[Version], holder: str, seconds: float) -> None:
        """Lease these versions for ``seconds`` from now.

        Raises:
            NotFound: none of them exists.
        """

    def release(self, holder: str, version: Version | None = None) -> None:
        """End all leases of the holder, or the one on ``version``."""


class Leases:
    """The leases of one API process, written in a thread of their own."""

    def __init__(self, registry: LeaseStore, holder: str, loaded: Callable[[], Sequence[Version]]) -> None:
        self._registry = registry
        self._holder = holder
        self._loaded = loaded
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lorarack-leases")
        self._held: dict[str, Version] = {}
        self._renewed = -LEASE_SECONDS

    async def keep(self, look: float = LOOK_SECONDS, seconds: float = LEASE_SECONDS) -> None:
        """Lease what is loaded and release what is not, until cancelled; then all leases end."""
        loop = asyncio.get_running_loop()

        async def renew() -> None:
            loaded = {version.reference: version for version in self._loaded()}
            if loaded.keys() != self._held.keys() or time.monotonic() - self._renewed > seconds / 3:
                began = time.monotonic()
                renewing = began - self._renewed > seconds / 3
                await loop.run_in_executor(self._thread, self._write, loaded, seconds, renewing)
                self._held = loaded
                self._renewed = began if renewing else self._renewed

        try:
            await repeat("What this server has loaded is not held in the registry", renew, look)
        finally:
            # Here and now: the loop is about to end, and with it what it would have waited for.
            self._thread.shutdown(wait=True)
            self._end()

    def _write(self, loaded: dict[str, Version], seconds: float, renewing: bool) -> None:
        if loaded:
            if leased := [version for name, version in loaded.items() if renewing or name not in self._held]:
                self._lease(leased, seconds)
            for name in self._held.keys() - loaded.keys():
                self._registry.release(self._holder, self._held[name])
        elif self._held:
            self._registry.release(self._holder)

    def _end(self) -> None:
        try:
            if self._held:
                self._registry.release(self._holder)
        except Exception:  # they end by themselves, in a minute
            log.warning("The leases of this server could not be ended.", exc_info=True)

    def _lease(self, versions: list[Version], seconds: float) -> None:
        try:
            self._registry.lease(versions, self._holder, seconds)
        except NotFound:
            log.debug("None of what is loaded is in the registry any more; the next snapshot will say so.")


def holder_name(port: int | None) -> str:
    """``host:port/pid``: what people see who are told that a version is in use."""
    return f"{socket.gethostname()}:{port or '?'}/{os.getpid()}"
