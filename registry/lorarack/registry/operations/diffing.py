"""How two versions differ."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from lorarack.registry.artifact.deltas import Deltas, distance, norm
from lorarack.registry.artifact.manifest import CONFIG, WEIGHTS
from lorarack.registry.artifact.peft_config import parse_config
from lorarack.registry.errors import Damaged
from lorarack.registry.operations.versions import VersionOperations
from lorarack.registry.queries import Change, Diff, MetricChange, ModuleChange
from lorarack.registry.values import Metric, Provenance, Version

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


class DiffOperations(VersionOperations):
    """What can be compared."""

    def diff(self, a: str, b: str) -> Diff:
        """How version ``b`` differs from version ``a``, down to the delta weight of each module.

        Raises:
            Damaged: stored bytes of one have changed; it is quarantined. Else like ``resolve``, but in any state.
        """
        one, other = self.verify(a), self.verify(b)
        return Diff(
            a=one.reference,
            b=other.reference,
            configuration=_changes(self._configuration(one), self._configuration(other)),
            metrics=tuple(_metrics(one, other)),
            provenance=_changes(_flat(one.provenance), _flat(other.provenance)),
            tags=_changes(one.tags, other.tags),
            modules=self._modules(one, other),
        )

    def _configuration(self, version: Version) -> dict[str, Any]:
        own = version.model_dump(mode="json", include=set(_FIELDS))
        _, stored, _ = parse_config(self._blobs.read(_file(version, CONFIG)))
        return own | {key: value for key, value in stored.items() if key not in _SAID}

    def _modules(self, one: Version, other: Version) -> tuple[ModuleChange, ...]:
        with self._deltas(one) as deltas_a, self._deltas(other) as deltas_b:
            names = deltas_a.modules | deltas_b.modules
            found = [_module(name, deltas_a, deltas_b) for name in sorted(names)]
        return tuple(sorted(found, key=lambda change: -(change.difference or 0.0)))

    @contextmanager
    def _deltas(self, version: Version) -> Iterator[Deltas]:
        config, _, _ = parse_config(self._blobs.read(_file(version, CONFIG)))
        weights = _file(version, WEIGHTS)
        with self._blobs.reading(weights) as file:
            if config is None:
                raise Damaged(
                    f"{version.reference} has a configuration that this lorarack cannot read; upgrade lorarack."
                )
            yield Deltas(file, self._blobs.size(weights), config)


def _file(version: Version, name: str) -> str:
    return next(file.digest for file in version.files if file.name == name)


def _module(name: str, deltas_a: Deltas, deltas_b: Deltas) -> ModuleChange:
    a, b = deltas_a.factors(name), deltas_b.factors(name)
    norm_a, norm_b = norm(a) if a else None, norm(b) if b else None
    if a is None or b is None:
        return ModuleChange(module=name, a=norm_a, b=norm_b, difference=norm_b if a is None else norm_a)
    apart = distance(a, b) if a.shape == b.shape else None
    return ModuleChange(module=name, a=norm_a, b=norm_b, difference=apart)


def _changes(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[Change, ...]:
    keys = [*a, *(key for key in b if key not in a)]
    return tuple(Change(what=key, a=a.get(key), b=b.get(key)) for key in keys if a.get(key) != b.get(key))


def _metrics(one: Version, other: Version) -> Iterator[MetricChange]:
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


def _flat(provenance: Provenance | None) -> dict[str, Any]:
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
