"""Rows to values and back."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from lorarack.registry.catalog.tables import BaseIdRow, BaseRow, EventRow, MetricRow, VersionRow
from lorarack.registry.values import Alias, Base, BaseId, Event, Metric, Parent, Provenance, State, StoredFile, Version


def base_value(row: BaseRow, ids: Iterable[BaseIdRow], original: str | None) -> Base:
    """A base model with its ids in the order in which they became known, and the name of its original."""
    return Base(
        name=row.name,
        fingerprint=row.fingerprint,
        architecture=row.architecture,
        vocabulary=row.vocabulary,
        vocab_size=row.vocab_size,
        parameters=row.parameters,
        modules={name: (shape[0], shape[1]) for name, shape in row.modules.items()},
        ids=tuple(BaseId(kind=known.kind, value=known.value, revision=known.revision) for known in ids),
        original=original,
        relation=row.relation,
        created_at=row.created_at,
    )


def metric_value(row: MetricRow) -> Metric:
    """A metric."""
    return Metric(
        name=row.name,
        split=row.split,
        value=row.value,
        step=row.step,
        dataset=row.dataset,
        higher_is_better=row.higher_is_better,
    )


def metric_row(metric: Metric, version_id: int) -> MetricRow:
    """The row of a metric."""
    return MetricRow(version_id=version_id, **metric.model_dump())


@dataclass(slots=True)
class Belongings:
    """What other tables hold of one version."""

    metrics: list[Metric] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    parents: list[Parent] = field(default_factory=list)
    aliases: list[str] = field(default_factory=list)


def version_value(row: VersionRow, adapter: str, base: BaseRow, has: Belongings) -> Version:
    """A version with all that belongs to it."""
    return Version(
        adapter=adapter,
        number=row.number,
        digest=row.digest,
        engine_id=row.id,
        base=base.name,
        base_fingerprint=base.fingerprint,
        rank=row.rank,
        alpha=row.alpha,
        rslora=row.rslora,
        target_modules=tuple(row.target_modules),
        dtype=row.dtype,
        parameters=row.parameters,
        bytes=row.bytes,
        state=State(row.state),
        state_reason=row.state_reason,
        description=row.description,
        tags=has.tags,
        metrics=tuple(has.metrics),
        provenance=Provenance.model_validate(row.provenance) if row.provenance is not None else None,
        files=tuple(StoredFile.model_validate(file) for file in row.files),
        parents=tuple(has.parents),
        aliases=tuple(sorted(has.aliases)),
        created_at=row.created_at,
        created_by=row.created_by,
    )


def event_value(row: EventRow) -> Event:
    """An event; the row's id is its cursor."""
    return Event(
        cursor=row.id,
        at=row.at,
        actor=row.actor,
        kind=row.kind,
        adapter=row.adapter,
        version=row.version,
        detail=row.detail,
    )


def alias_value(row: EventRow) -> Alias:
    """An alias as the event of one move left it."""
    return Alias(
        adapter=row.adapter or "",
        name=row.detail["alias"],
        version=row.version or 0,
        previous=row.detail["previous"],
        moved_at=row.at,
        actor=row.actor,
        reason=row.detail["reason"],
        forced=row.detail["forced"],
    )
