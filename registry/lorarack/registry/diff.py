"""How two versions differ: configuration, defaults, metrics, provenance, tags and the delta weight of each module."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from lorarack.registry.artifact.adapter_config import applied_config, parse_config
from lorarack.registry.artifact.deltas import Deltas, distance, norm
from lorarack.registry.artifact.manifest import CHAT_TEMPLATE, CONFIG, WEIGHTS
from lorarack.registry.blobs.blob import read_blob
from lorarack.registry.errors import Damaged
from lorarack.registry.fetch import serving_defaults
from lorarack.registry.interface import BlobStore, Catalog
from lorarack.registry.lifecycle import verify
from lorarack.registry.metrics import by_dataset, latest_metrics, pair
from lorarack.registry.queries import Change, Diff, MetricChange, ModuleChange
from lorarack.registry.values import Metric, Provenance, Version
from lorarack.registry.versions import get_version

#: What a version's own fields say already, or what is no part of how it is applied.
_SAID = frozenset({"r", "lora_alpha", "use_rslora", "target_modules", "peft_type", "task_type", "inference_mode"})
_FIELDS = (
    "adapter",
    "base",
    "base_fingerprint",
    "rank",
    "alpha",
    "rslora",
    "target_modules",
    "dtype",
    "parameters",
    "bytes",
)


def diff(catalog: Catalog, blobs: BlobStore, actor: str, a: str, b: str) -> Diff:
    """See ``Registry.diff``."""
    one, other = (verify(catalog, blobs, actor, get_version(catalog, reference)) for reference in (a, b))
    return Diff(
        a=one.reference,
        b=other.reference,
        configuration=_changes(*(_configuration(catalog, blobs, actor, version) for version in (one, other))),
        metrics=tuple(_metric_changes(one, other)),
        provenance=_changes(_flat(one.provenance), _flat(other.provenance)),
        tags=_changes(one.tags, other.tags),
        modules=_modules(blobs, one, other),
    )


def _configuration(catalog: Catalog, blobs: BlobStore, actor: str, version: Version) -> dict[str, Any]:
    own = version.model_dump(mode="json", include=set(_FIELDS))
    _, stored, _ = parse_config(read_blob(blobs, _file(version, CONFIG)))
    asked = _leaves("defaults", serving_defaults(catalog, blobs, actor, version).given)
    template = {CHAT_TEMPLATE: version.file_digest(CHAT_TEMPLATE)}
    return own | {key: value for key, value in stored.items() if key not in _SAID} | template | asked


def _modules(blobs: BlobStore, one: Version, other: Version) -> tuple[ModuleChange, ...]:
    with _deltas(blobs, one) as deltas_a, _deltas(blobs, other) as deltas_b:
        names = deltas_a.modules | deltas_b.modules
        found = [_module_change(name, deltas_a, deltas_b) for name in sorted(names)]
    return tuple(sorted(found, key=lambda change: -(change.difference or 0.0)))


@contextmanager
def _deltas(blobs: BlobStore, version: Version) -> Iterator[Deltas]:
    config = applied_config(read_blob(blobs, _file(version, CONFIG)))
    with blobs.open(_file(version, WEIGHTS)) as file:
        if config is None:
            raise Damaged(f"{version.reference} has a configuration that this lorarack cannot read; upgrade lorarack.")
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        yield Deltas(file, size, config)


def _file(version: Version, name: str) -> str:
    return next(file.digest for file in version.files if file.name == name)


def _module_change(name: str, deltas_a: Deltas, deltas_b: Deltas) -> ModuleChange:
    """The norms of a module's delta in both, and of the difference."""
    a, b = deltas_a.factors(name), deltas_b.factors(name)
    norm_a, norm_b = norm(a) if a else None, norm(b) if b else None
    if a is None or b is None:
        return ModuleChange(module=name, a=norm_a, b=norm_b, difference=norm_b if a is None else norm_a)
    apart = distance(a, b) if a.shape == b.shape else None
    return ModuleChange(module=name, a=norm_a, b=norm_b, difference=apart)


def _changes(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[Change, ...]:
    """What the two have differently, in the order in which they name it."""
    keys = [*a, *(key for key in b if key not in a)]
    return tuple(Change(what=key, a=a.get(key), b=b.get(key)) for key in keys if a.get(key) != b.get(key))


def _metric_changes(one: Version, other: Version) -> Iterator[MetricChange]:
    """Every finished metric that one of the two has, on each data set that both share; else the newest of each."""
    a, b = latest_metrics(one.metrics), latest_metrics(other.metrics)
    for name, split in dict.fromkeys((key.name, key.split) for key in (*a, *b)):
        mine, theirs = by_dataset(one.metrics, name, split), by_dataset(other.metrics, name, split)
        shared = [dataset for dataset in mine if dataset in theirs]
        for dataset in shared:
            yield _metric_change(mine[dataset], theirs[dataset])
        if not shared:
            old, new = pair(mine, theirs) or (_last(mine), _last(theirs))
            yield _metric_change(old, new)


def _metric_change(old: Metric | None, new: Metric | None) -> MetricChange:
    known = [metric for metric in (new, old) if metric is not None]
    comparable = len({metric.dataset for metric in known} - {None}) < 2
    return MetricChange(
        label=known[0].label,
        dataset=next((metric.dataset for metric in known if metric.dataset), None) if comparable else None,
        a=old.value if old else None,
        b=new.value if new else None,
        change=new.value - old.value if new and old and comparable else None,
        higher_is_better=known[0].higher_is_better,
        comparable=comparable,
    )


def _last(measured: Mapping[str | None, Metric]) -> Metric | None:
    return list(measured.values())[-1] if measured else None


def _flat(provenance: Provenance | None) -> dict[str, Any]:
    """Provenance as one level of names: ``recipe.learning_rate``, ``data.train.digest``, ``versions.torch``."""
    if provenance is None:
        return {}
    flat = dict(_leaves("recipe", provenance.recipe))
    for dataset in provenance.datasets:
        flat |= _leaves(f"data.{dataset.split}", dataset.model_dump(mode="json", exclude={"split"}))
    flat |= _leaves("versions", provenance.versions)
    rest = provenance.model_dump(mode="json", exclude={"recipe", "datasets", "versions", "reference"})
    return flat | {key: value for key, value in rest.items() if value is not None}


def _leaves(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {name: value}
    return {path: leaf for key, inner in value.items() for path, leaf in _leaves(f"{name}.{key}", inner).items()}
