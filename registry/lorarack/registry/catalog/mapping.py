"""Rows to values and back."""

from collections.abc import Iterable

from lorarack.registry.catalog.tables import AliasMoveRow, BaseIdRow, BaseRow, MetricRow, VersionRow
from lorarack.registry.values import Alias, Base, BaseId, Metric, Provenance, State, StoredFile, Version


def base_value(row: BaseRow, ids: Iterable[BaseIdRow]) -> Base:
    """A base model with its ids in the order in which they became known."""
    return Base(
        name=row.name,
        fingerprint=row.fingerprint,
        architecture=row.architecture,
        vocabulary=row.vocabulary,
        vocab_size=row.vocab_size,
        parameters=row.parameters,
        modules={name: (shape[0], shape[1]) for name, shape in row.modules.items()},
        ids=tuple(BaseId(kind=known.kind, value=known.value, revision=known.revision) for known in ids),
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


def version_value(
    row: VersionRow, adapter: str, base: BaseRow, metrics: Iterable[MetricRow], aliases: Iterable[str]
) -> Version:
    """A version with its metrics and the aliases that name it now."""
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
        description=row.description,
        tags=dict(row.tags),
        metrics=tuple(metric_value(metric) for metric in metrics),
        provenance=Provenance.model_validate(row.provenance) if row.provenance is not None else None,
        files=tuple(StoredFile.model_validate(file) for file in row.files),
        aliases=tuple(sorted(aliases)),
        created_at=row.created_at,
        created_by=row.created_by,
    )


def alias_value(row: AliasMoveRow, adapter: str) -> Alias:
    """An alias as one move left it."""
    return Alias(
        adapter=adapter,
        name=row.name,
        version=row.version,
        previous=row.previous,
        moved_at=row.moved_at,
        actor=row.actor,
        reason=row.reason,
    )
