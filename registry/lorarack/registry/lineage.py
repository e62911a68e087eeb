"""Where versions come from and what came of them."""

from lorarack.registry.interface import Catalog
from lorarack.registry.lookup import get_version
from lorarack.registry.queries import Lineage


def lineage(catalog: Catalog, reference: str) -> Lineage:
    """See ``Registry.lineage``."""
    version = get_version(catalog, reference)
    ancestors, descendants = catalog.lineage(version)
    originals = {base.name: base.original for base in catalog.bases()}
    bases: list[str] = []
    name: str | None = version.base
    while name is not None:
        bases.append(name)
        name = originals.get(name)
    return Lineage(version=version, base=tuple(bases), ancestors=ancestors, descendants=descendants)
