"""The table of versions in and on their way to the engine: one row each. It decides nothing and waits for nothing."""

import asyncio
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from lorarack.registry import Version
from lorarack.registry.errors import Conflict, Damaged, EngineError, LorarackError, NotServeable, StoreError
from lorarack.server.proof import Proof

Key: TypeAlias = tuple[str, str, int]

#: Seconds for which a version that failed to load is refused without another try: after a registry's error, and after an engine's.
STORE_RETRY_SECONDS = 2.0
ENGINE_RETRY_SECONDS = 30.0


class RowState(StrEnum):
    """Where a version is on its way into the engine and out of it."""

    FETCHING = "fetching"
    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a version is refused, and until when (`time.monotonic`)."""

    error: LorarackError
    until: float


@dataclass(frozen=True, slots=True)
class ResidencyObserver:
    """Is told of each load with its seconds, each failed load, and each version that made way for another."""

    loaded: Callable[[Version, float], None] = lambda version, seconds: None
    failed: Callable[[Version], None] = lambda version: None
    evicted: Callable[[Version], None] = lambda version: None


@dataclass(slots=True, eq=False)
class Row:
    """One version.

    Attributes:
        version: what the row is of.
        state: FETCHING also where nothing has begun: such a row leaves the table with its last request.
        requests: how many it answers, those that wait for it included.
        pinned: it is not evicted.
        last_used: end of the last request, or the load (`time.time`).
        load_seconds: what the last load took, files and engine.
        proof: what was found when it was loaded; None: nobody looked.
        failure: why it is refused; may be past.
        withdrawn: it must not become ready.
        unloading: the engine is unloading it; before, a drain can be called off.
        task: the load or the unload that runs.
    """

    version: Version
    state: RowState = RowState.FETCHING
    requests: int = 0
    pinned: bool = False
    last_used: float = field(default_factory=time.time)
    load_seconds: float | None = None
    proof: Proof | None = None
    failure: Failure | None = None
    withdrawn: bool = False
    unloading: bool = False
    task: "asyncio.Task[None] | None" = None
    idle: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def key(self) -> Key:
        """What identifies it."""
        return key_of(self.version)

    @property
    def in_engine(self) -> bool:
        """Whether it takes one of the engine's places, or will in a moment."""
        return self.state in (RowState.LOADING, RowState.READY, RowState.DRAINING)

    @property
    def evictable(self) -> bool:
        """Whether it may make way for another."""
        return self.state is RowState.READY and not self.requests and not self.pinned

    @property
    def refused_for(self) -> float:
        """Seconds for which it is refused; 0 when it is not."""
        return max(0.0, self.failure.until - time.monotonic()) if self.failure else 0.0

    def raise_if_refused(self) -> None:
        """Raise the error for which it is refused now, if it is."""
        if self.failure is not None and self.refused_for:
            error = self.failure.error
            # A new one: what is raised keeps the request that it went through, and what is remembered must not.
            raise type(error)(error.message, code=error.code)

    def raise_if_withdrawn(self) -> None:
        """Raise unless it may still become ready.

        Raises:
            Conflict: it was archived, quarantined or deleted meanwhile.
        """
        if self.withdrawn:
            self.raise_if_refused()
            raise Conflict(
                f"{self.version.reference} was archived, quarantined or deleted while it was loaded; ask for another version.",
                code="not_ready",
            )


class ResidencyTable:
    """Rows by what identifies a version."""

    def __init__(self) -> None:
        self._rows: dict[Key, Row] = {}

    def __iter__(self) -> Iterator[Row]:
        return iter(tuple(self._rows.values()))

    @property
    def held(self) -> int:
        """How many the engine holds, or will in a moment, and is not unloading: draining ones too."""
        return sum(row.in_engine and not row.unloading for row in self)

    @property
    def staying(self) -> int:
        """How many of these nothing has told to leave."""
        return sum(row.state in (RowState.LOADING, RowState.READY) for row in self)

    def find(self, key: Key) -> Row | None:
        """The row of that version."""
        return self._rows.get(key)

    def row(self, version: Version) -> Row:
        """The row of ``version``, new if there is none."""
        return self._rows.setdefault(key_of(version), Row(version))

    def tidy(self, row: Row) -> None:
        """Remove ``row`` if it is empty: no request, no task, nothing loaded, no remembered failure."""
        says = row.task or row.requests or row.pinned or row.in_engine or row.refused_for
        if not says and self._rows.get(row.key) is row:
            del self._rows[row.key]

    def colliding(self, row: Row) -> list[Row]:
        """Other versions with the same reference or engine id: a restored catalog may have given them anew."""
        name, _, engine_id = row.key
        return [o for o in self if o is not row and (o.version.reference == name or o.version.engine_id == engine_id)]

    def least_recently_used(self) -> Row | None:
        """What makes way for another version; None when everything is pinned or answers a request."""
        return min((row for row in self if row.evictable), key=lambda row: row.last_used, default=None)


def key_of(version: Version) -> Key:
    """What identifies a loaded version: its reference, its bytes and its engine id."""
    return version.reference, version.digest, version.engine_id


def retry_seconds(error: BaseException | None) -> float:
    """For how long a version whose load failed with ``error`` is refused without another try."""
    if isinstance(error, NotServeable):
        return math.inf  # its bytes will not change
    if isinstance(error, EngineError | Damaged):
        return ENGINE_RETRY_SECONDS
    return STORE_RETRY_SECONDS if isinstance(error, StoreError) else 0.0
