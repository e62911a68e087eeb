"""Where versions come from and what came of them."""

from typing import TYPE_CHECKING

from lorarack.registry.operations.bases import BaseOperations

if TYPE_CHECKING:
    from lorarack.registry.queries import Lineage


class LineageOperations(BaseOperations):
    """What can be asked about descent."""

    def lineage(self, reference: str) -> "Lineage":
        """All ancestors and descendants of a version, and the bases behind it. Raises like ``resolve``, but in any state."""
        from lorarack.registry.catalog.lineage import read_lineage
        from lorarack.registry.queries import Lineage

        version = self._exact(reference)
        ancestors, descendants = read_lineage(self._database, version.engine_id)
        return Lineage(
            version=version, base=self._bases_behind(version.base), ancestors=ancestors, descendants=descendants
        )

    def _bases_behind(self, name: str | None) -> tuple[str, ...]:
        originals = {base.name: base.original for base in self.bases()}
        found = []
        while name is not None:
            found.append(name)
            name = originals.get(name)
        return tuple(found)
