"""What an adapter is, and where its versions live. Neither torch nor vLLM is imported here.

>>> from lorarack.registry import open_registry
>>> registry = open_registry("my-registry")
>>> [adapter.name for adapter in registry.adapters()]
[]
"""

from lorarack.registry.errors import LorarackError
from lorarack.registry.reference import Reference, parse_reference
from lorarack.registry.registry import Registry, open_registry
from lorarack.registry.resolution import AdapterView
from lorarack.registry.settings import home_folder
from lorarack.registry.snapshot import Snapshot
from lorarack.registry.values import (
    Adapter,
    Alias,
    Base,
    BaseId,
    Dataset,
    Metric,
    Provenance,
    Published,
    State,
    StoredFile,
    Version,
)

__all__ = [
    "Adapter",
    "AdapterView",
    "Alias",
    "Base",
    "BaseId",
    "Dataset",
    "LorarackError",
    "Metric",
    "Provenance",
    "Published",
    "Reference",
    "Registry",
    "Snapshot",
    "State",
    "StoredFile",
    "Version",
    "home_folder",
    "open_registry",
    "parse_reference",
]
