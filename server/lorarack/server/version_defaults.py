"""Each version's chat template and defaults for requests, read from the registry once."""

import asyncio
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from lorarack.registry import ServingDefaults, Version
from lorarack.registry.artifact.manifest import CHAT_TEMPLATE, DEFAULTS

#: Versions whose defaults are kept in memory: a few KiB each, a template at most a MiB.
MAX_KEPT = 1024
#: Versions that are read at a time; each takes two small files.
_READERS = 4


@dataclass(frozen=True, slots=True)
class VersionDefaults:
    """What one version brings along: ``template`` is the text of its chat template."""

    template: str | None
    filled_in: ServingDefaults


class Source(Protocol):
    """What is needed of a registry."""

    def chat_template(self, version: Version) -> str | None:
        """Its chat template."""

    def serving_defaults(self, version: Version) -> ServingDefaults:
        """What it fills into requests."""


class DefaultsReader:
    """Reads them off the event loop; what was read stays, also while the registry is away."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._threads = ThreadPoolExecutor(max_workers=_READERS, thread_name_prefix="lorarack-defaults")
        #: By the digests of both files: versions that share them share this.
        self._kept: OrderedDict[tuple[str | None, str | None], VersionDefaults] = OrderedDict()

    async def read(self, version: Version) -> VersionDefaults | None:
        """What ``version`` brings along; None where that is nothing.

        Raises:
            Damaged: its stored files are not what was published.
            StoreError: they cannot be read now.
        """
        key = version.file_digest(CHAT_TEMPLATE), version.file_digest(DEFAULTS)
        if key == (None, None):
            return None
        found = self._kept.get(key)
        if found is None:
            found = await asyncio.get_running_loop().run_in_executor(self._threads, self._read, version)
            self._kept[key] = found
            if len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return found

    def _read(self, version: Version) -> VersionDefaults:
        return VersionDefaults(self._source.chat_template(version), self._source.serving_defaults(version))
