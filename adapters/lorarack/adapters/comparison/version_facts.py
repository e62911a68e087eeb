"""What the registry knows of the versions in a verdict."""

from collections.abc import Mapping, Sequence

from lorarack.adapters.comparison.slots import slot_bytes
from lorarack.adapters.comparison.speed import speed_of
from lorarack.adapters.comparison.verdict import ScoreMetric, Verdict
from lorarack.adapters.evaluation.answers import Answers
from lorarack.registry.values import Base, Metric, Version


def with_facts(
    verdict: Verdict,
    versions: Sequence[Version] | Mapping[str, Version],
    base: Base | None = None,
    memory: int | None = None,
    answers: Mapping[str, Answers] | None = None,
    metric: ScoreMetric | None = None,
) -> Verdict:
    """The verdict with rank, sizes, losses and speed of each version, as far as they are known.

    Args:
        verdict: of ``judge``.
        versions: what the registry knows of them.
        base: theirs.
        memory: bytes in which their slots are to fit.
        answers: what each of them answered.
        metric: as which its score was kept.
    """
    known = versions if isinstance(versions, Mapping) else {version.reference: version for version in versions}
    told = []
    for line in verdict.versions:
        version = known.get(line.reference)
        facts = {} if version is None else _facts(version)
        slot = slot_bytes(version, base) if version and base else None
        facts |= {"slot": slot, "fits": memory // slot if memory and slot else None}
        given = answers[line.reference] if answers else None
        extra = {"cut_off": given.cut_off, "speed": speed_of(given), "judge": given.judge} if given else {}
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
