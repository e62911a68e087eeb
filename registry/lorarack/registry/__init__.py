"""What an adapter is, and where its versions live. Neither torch nor vLLM is imported here.

>>> from lorarack.registry import open_registry
>>> registry = open_registry("my-registry")
>>> [adapter.name for adapter in registry.adapters()]
[]
"""

from lorarack.registry.collection import Collection, Fate, Retention
from lorarack.registry.errors import LorarackError
from lorarack.registry.queries import (
    Best,
    Change,
    Condition,
    Diff,
    Lineage,
    Link,
    MetricChange,
    ModuleChange,
    Page,
    Query,
    Rule,
    parse_condition,
)
from lorarack.registry.reference import Reference, parse_reference
from lorarack.registry.registry import Registry, open_registry
from lorarack.registry.replay import replay_aliases
from lorarack.registry.settings import home_folder
from lorarack.registry.snapshot import Snapshot
from lorarack.registry.values import (
    Adapter,
    Alias,
    Base,
    BaseId,
    Dataset,
    Event,
    Metric,
    Parent,
    Provenance,
    Published,
    State,
    StoredFile,
    Version,
)
from lorarack.registry.view import AdapterView

__all__ = [
    "Adapter",
    "AdapterView",
    "Alias",
    "Base",
    "BaseId",
    "Best",
    "Change",
    "Collection",
    "Condition",
    "Dataset",
    "Diff",
    "Event",
    "Fate",
    "Lineage",
    "Link",
    "LorarackError",
    "Metric",
    "MetricChange",
    "ModuleChange",
    "Page",
    "Parent",
    "Provenance",
    "Published",
    "Query",
    "Reference",
    "Registry",
    "Retention",
    "Rule",
    "Snapshot",
    "State",
    "StoredFile",
    "Version",
    "home_folder",
    "open_registry",
    "parse_condition",
    "parse_reference",
    "replay_aliases",
]
