"""What the registry knows of the versions in a verdict."""

from collections.abc import Mapping, Sequence

from lorarack.adapters.comparison.verdict import ScoreMetric, Verdict
from lorarack.registry.values import Metric, Version


def with_facts(
    verdict: Verdict,
    versions: Sequence[Version] | Mapping[str, Version],
    cut_off: Mapping[str, int] | None = None,
    metric: ScoreMetric | None = None,
) -> Verdict:
    """The verdict with rank, size and losses of each version, as far as they are known."""
    known = versions if isinstance(versions, Mapping) else {version.reference: version for version in versions}
    told = []
    for line in verdict.versions:
        version = known.get(line.reference)
        facts = {} if version is None else _facts(version)
        extra = {"cut_off": cut_off[line.reference]} if cut_off else {}
        told.append(line.model_copy(update={**facts, **extra, "metric": metric}))
    return verdict.model_copy(update={"versions": tuple(told)})


def _facts(version: Version) -> dict[str, object]:
    return {
        "rank": version.rank,
        "parameters": version.parameters,
        "bytes": version.bytes,
        "validation_loss": _value(version.metric("loss", "validation")),
        "train_loss": _value(version.metric("loss", "train")),
    }


def _value(metric: Metric | None) -> float | None:
    return metric.value if metric else None
