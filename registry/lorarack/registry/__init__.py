"""What an adapter is, and where its versions live. Neither torch nor vLLM is imported here.

>>> from lorarack.registry import open_registry
>>> registry = open_registry("my-registry")
>>> [adapter.name for adapter in registry.adapters()]
[]

Each name is imported when it is asked for first: a command needs few of them.
"""

import importlib
import typing

if typing.TYPE_CHECKING:
    from lorarack.registry.access import Key, NewKey, Scope
    from lorarack.registry.aliases import replay_aliases
    from lorarack.registry.errors import LorarackError
    from lorarack.registry.interface import Registry
    from lorarack.registry.queries import (
        Best,
        Change,
        Condition,
        Diff,
        GcItem,
        GcReport,
        Judgement,
        Lineage,
        Link,
        MetricChange,
        ModuleChange,
        Page,
        Query,
        Retention,
        Rule,
        parse_condition,
    )
    from lorarack.registry.reference import Reference, parse_reference
    from lorarack.registry.registry import open_registry
    from lorarack.registry.serving_defaults import ServingDefaults
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
    "Condition",
    "Dataset",
    "Diff",
    "Event",
    "GcItem",
    "GcReport",
    "Judgement",
    "Key",
    "Lineage",
    "Link",
    "LorarackError",
    "Metric",
    "MetricChange",
    "ModuleChange",
    "NewKey",
    "Page",
    "Parent",
    "Provenance",
    "Published",
    "Query",
    "Reference",
    "Registry",
    "Retention",
    "Rule",
    "Scope",
    "ServingDefaults",
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

_MODULES = {
    "access": "Key NewKey Scope",
    "aliases": "replay_aliases",
    "errors": "LorarackError",
    "interface": "Registry",
    "queries": (
        "Best Change Condition Diff GcItem GcReport Judgement Lineage Link MetricChange ModuleChange Page Query Retention Rule "
        "parse_condition"
    ),
    "reference": "Reference parse_reference",
    "registry": "open_registry",
    "serving_defaults": "ServingDefaults",
    "settings": "home_folder",
    "snapshot": "Snapshot",
    "values": "Adapter Alias Base BaseId Dataset Event Metric Parent Provenance Published State StoredFile Version",
    "view": "AdapterView",
}
_WHERE = {name: module for module, names in _MODULES.items() for name in names.split()}


def __getattr__(name: str) -> object:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found = getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
    return found


def __dir__() -> list[str]:
    return __all__
