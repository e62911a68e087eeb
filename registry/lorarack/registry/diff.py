"""What two versions have differently: pure comparisons."""

from collections.abc import Iterator, Mapping
from typing import Any

from lorarack.registry.artifact.deltas import Deltas, distance, norm
from lorarack.registry.queries import Change, MetricChange, ModuleChange
from lorarack.registry.values import Metric, Provenance, Version

#: What a version's own fields say already, or what is no part of how it is applied.
SAID = frozenset({"r", "lora_alpha", "use_rslora", "target_modules", "peft_type", "task_type", "inference_mode"})
FIELDS = (
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


def module_change(name: str, deltas_a: Deltas, deltas_b: Deltas) -> ModuleChange:
    """The norms of a module's delta in both, and of the difference."""
    a, b = deltas_a.factors(name), deltas_b.factors(name)
    norm_a, norm_b = norm(a) if a else None, norm(b) if b else None
    if a is None or b is None:
        return ModuleChange(module=name, a=norm_a, b=norm_b, difference=norm_b if a is None else norm_a)
    apart = distance(a, b) if a.shape == b.shape else None
    return ModuleChange(module=name, a=norm_a, b=norm_b, difference=apart)


def changes(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[Change, ...]:
    """What the two have differently, in the order in which they name it."""
    keys = [*a, *(key for key in b if key not in a)]
    return tuple(Change(what=key, a=a.get(key), b=b.get(key)) for key in keys if a.get(key) != b.get(key))


def metric_changes(one: Version, other: Version) -> Iterator[MetricChange]:
    """Every finished metric that one of the two has."""
    a, b = _finished(one), _finished(other)
    for label in [*a, *(label for label in b if label not in a)]:
        old, new = a.get(label), b.get(label)
        known = new or old
        if known is not None:
            yield MetricChange(
                label=label,
                a=old.value if old else None,
                b=new.value if new else None,
                change=new.value - old.value if new and old else None,
                higher_is_better=known.higher_is_better,
                comparable=not (new and old and new.dataset and old.dataset and new.dataset != old.dataset),
            )


def _finished(version: Version) -> dict[str, Metric]:
    return {metric.label: metric for metric in version.metrics if metric.step is None}


def flat(provenance: Provenance | None) -> dict[str, Any]:
    """Provenance as one level of names: ``recipe.learning_rate``, ``data.train.digest``, ``versions.torch``."""
    if provenance is None:
        return {}
    flat = dict(_leaves("recipe", provenance.recipe))
    for dataset in provenance.datasets:
        flat |= _leaves(f"data.{dataset.split}", dataset.model_dump(mode="json", exclude={"split"}))
    flat |= _leaves("versions", provenance.versions)
    rest = provenance.model_dump(mode="json", exclude={"recipe", "datasets", "versions"})
    return flat | {key: value for key, value in rest.items() if value is not None}


def _leaves(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {name: value}
    return {path: leaf for key, inner in value.items() for path, leaf in _leaves(f"{name}.{key}", inner).items()}
