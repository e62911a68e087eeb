"""What is loaded before any request: the versions that pins and aliases name, and the arms of experiments.

A pin is a reference. The version that it names now is loaded before the server is ready and never evicted; where the reference
is an alias that moves, the pin moves with it. Aliases are warm as far as the engine has places, and may be evicted.
"""

import asyncio
import logging
from collections.abc import Iterator, Sequence

from lorarack.registry import AdapterView, Snapshot, Version
from lorarack.registry.errors import LorarackError
from lorarack.server.limits import incompatibility
from lorarack.server.residency import Residency
from lorarack.server.residency_table import key_of

log = logging.getLogger(__name__)

#: Seconds that a moved alias waits for the version that it names now; then requests wait instead.
FLIP_SECONDS = 0.7
#: Seconds after which a start no longer waits for the rest of the warm set.
WARM_SECONDS = 120.0
#: How often pins that are not loaded are tried again.
KEEP_SECONDS = 5.0


class WarmSet:
    """Keeps the versions of pins, aliases and experiments loaded, for one event loop."""

    def __init__(
        self, residency: Residency, pins: Sequence[str] = (), places: int = 0, *, lets_go: bool = True
    ) -> None:
        """Over ``residency``; at most ``places`` versions are loaded because of aliases, pins included.

        ``lets_go`` is off where other processes, whose requests are not known here, share the engine.
        """
        self._residency = residency
        self._pins = tuple(pins)
        self._places = places
        self._lets_go = lets_go
        self._warming: set[str] = set()
        self._warmed = True
        self._tasks: set[asyncio.Task[None]] = set()
        self._said: set[str] = set()

    @property
    def waiting_for(self) -> str | None:
        """What a start still waits for, in words; None once it is warm."""
        if self._warmed:
            return None
        names = sorted(self._warming)
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        return f"versions that aliases and pins name are being loaded: {', '.join(names[:3])}{more}"

    def pinned(self, snapshot: Snapshot) -> list[Version]:
        """The versions that pins name in ``snapshot``, as far as they can be served."""
        found: dict[str, Version] = {}
        for pin in self._pins:
            try:
                version = snapshot.resolve(pin)
            except LorarackError as error:
                self._say(f"The pin {pin} is not loaded: {error.message}")
                continue
            if reason := incompatibility(version, self._residency.limits):
                self._say(f"The pin {pin} is not loaded: {reason}")
            else:
                found[version.reference] = version
        return list(found.values())

    def wanted(self, snapshot: Snapshot) -> list[Version]:
        """The warm set: pins, then arms and aliases that were set explicitly, then defaults; the newest versions first."""
        pinned = {version.reference: version for version in self.pinned(snapshot)}
        named = [(False, -version.created_at.timestamp(), version) for version in self._arms(snapshot)]
        for view in snapshot.adapters.values():
            for alias, number in view.aliases.items():
                version = view.numbered(number)
                if version is not None and incompatibility(version, self._residency.limits) is None:
                    named.append((alias == "default", -version.created_at.timestamp(), version))
        for _, _, version in sorted(named, key=lambda entry: (*entry[:2], entry[2].reference)):
            if len(pinned) >= self._places:
                break
            pinned.setdefault(version.reference, version)
        return list(pinned.values())

    def _arms(self, snapshot: Snapshot) -> Iterator[Version]:
        """The versions that get requests of running experiments and can be served here."""
        for experiment in snapshot.experiments.values():
            for arm in experiment.open_arms:
                version = snapshot.find(experiment.adapter, arm.version)
                if version is not None and incompatibility(version, self._residency.limits) is None:
                    yield version

    def start(self, snapshot: Snapshot) -> "asyncio.Task[None]":
        """Start loading the warm set. What cannot be loaded is logged and does not stop the start."""
        wanted = self.wanted(snapshot)
        self._residency.pin(self.pinned(snapshot))
        self._warming, self._warmed = {version.reference for version in wanted}, not wanted
        return asyncio.create_task(self._warm(wanted))

    async def _warm(self, wanted: Sequence[Version]) -> None:
        try:
            await self._load(wanted, WARM_SECONDS)
        finally:
            self._warmed = True

    async def prepare(self, before: Snapshot, after: Snapshot) -> None:
        """Before requests see ``after``: load what aliases have moved to, if what they moved from is loaded, and new arms."""
        resident = self._residency.resident
        known = {version.reference for version in self._arms(before)} | resident
        new = [version for version in self.pinned(after) if version.reference not in resident]
        new += [version for version in self._arms(after) if version.reference not in known]
        for old, now in _changed(before, after):
            for alias, number in now.aliases.items():
                left, version = old.aliases.get(alias), now.numbered(number)
                if left in (None, number) or f"{old.name}@{left}" not in resident:
                    continue
                if version is None or version.reference in resident:
                    continue
                if incompatibility(version, self._residency.limits) is None:
                    new.append(version)
        await self._load(new, FLIP_SECONDS)

    def follow(self, before: Snapshot, after: Snapshot) -> None:
        """Once requests see ``after``: pins move; what may not be served, or what no alias and no experiment names, is unloaded."""
        self._residency.follow(after)
        self._residency.pin(self.pinned(after))
        arms = {version.reference for version in self._arms(after)}
        for old, now in _changed(before, after) if self._lets_go else ():
            for number in set(old.aliases.values()) - set(now.aliases.values()):
                if (left := now.numbered(number)) is not None and left.reference not in arms:
                    self._residency.let_go(left)

    async def keep(self, snapshot: Snapshot) -> None:
        """Load pins that are not loaded."""
        loaded = {key_of(version) for version in self._residency.loaded}
        await self._load([version for version in self.pinned(snapshot) if key_of(version) not in loaded], WARM_SECONDS)

    def _say(self, sentence: str) -> None:
        if sentence not in self._said:
            self._said.add(sentence)
            log.warning(sentence)

    async def _load(self, versions: Sequence[Version], seconds: float) -> None:
        tasks = [asyncio.create_task(self._try(version)) for version in versions]
        self._tasks.update(tasks)
        for task in tasks:
            task.add_done_callback(self._tasks.discard)
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)

    async def _try(self, version: Version) -> None:
        try:
            await self._residency.ensure(version)
        except LorarackError as error:
            self._say(f"{version.reference} could not be loaded beforehand: {error.message}")
        finally:
            self._warming.discard(version.reference)


def _changed(before: Snapshot, after: Snapshot) -> Iterator[tuple[AdapterView, AdapterView]]:
    """Each adapter that is in both and has changed. Where nothing changed, both have the same object."""
    for name, view in after.adapters.items():
        old = before.adapters.get(name)
        if old is not None and old is not view:
            yield old, view
