"""How two versions differ."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lorarack.registry.artifact.manifest import CONFIG, WEIGHTS
from lorarack.registry.errors import Damaged
from lorarack.registry.operations.versions import VersionOperations
from lorarack.registry.values import Version

if TYPE_CHECKING:
    from lorarack.registry.artifact.deltas import Deltas
    from lorarack.registry.queries import Diff, ModuleChange


class DiffOperations(VersionOperations):
    """What can be compared."""

    def diff(self, a: str, b: str) -> "Diff":
        """How version ``b`` differs from version ``a``, down to the delta weight of each module.

        Raises:
            Damaged: stored bytes of one have changed; it is out of use then. Else like ``resolve``, but in any state.
        """
        from lorarack.registry import diff
        from lorarack.registry.queries import Diff

        one, other = self.verify(a), self.verify(b)
        return Diff(
            a=one.reference,
            b=other.reference,
            configuration=diff.changes(self._configuration(one), self._configuration(other)),
            metrics=tuple(diff.metric_changes(one, other)),
            provenance=diff.changes(diff.flat(one.provenance), diff.flat(other.provenance)),
            tags=diff.changes(one.tags, other.tags),
            modules=self._modules(one, other),
        )

    def _configuration(self, version: Version) -> dict[str, Any]:
        from lorarack.registry.artifact.peft_config import parse_config
        from lorarack.registry.blobs.verified import read_blob
        from lorarack.registry.diff import FIELDS, SAID

        own = version.model_dump(mode="json", include=set(FIELDS))
        _, stored, _ = parse_config(read_blob(self._blobs, _file(version, CONFIG)))
        return own | {key: value for key, value in stored.items() if key not in SAID}

    def _modules(self, one: Version, other: Version) -> "tuple[ModuleChange, ...]":
        from lorarack.registry.diff import module_change

        with self._deltas(one) as deltas_a, self._deltas(other) as deltas_b:
            names = deltas_a.modules | deltas_b.modules
            found = [module_change(name, deltas_a, deltas_b) for name in sorted(names)]
        return tuple(sorted(found, key=lambda change: -(change.difference or 0.0)))

    @contextmanager
    def _deltas(self, version: Version) -> "Iterator[Deltas]":
        from lorarack.registry.artifact.deltas import Deltas
        from lorarack.registry.artifact.peft_config import applied_config
        from lorarack.registry.blobs.verified import read_blob

        config = applied_config(read_blob(self._blobs, _file(version, CONFIG)))
        weights = _file(version, WEIGHTS)
        with self._blobs.open(weights) as file:
            if config is None:
                raise Damaged(
                    f"{version.reference} has a configuration that this lorarack cannot read; upgrade lorarack."
                )
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            yield Deltas(file, size, config)


def _file(version: Version, name: str) -> str:
    return next(file.digest for file in version.files if file.name == name)
