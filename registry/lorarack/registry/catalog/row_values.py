"""Rows to values and back."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sqlalchemy import Row

from lorarack.registry.values import Alias, Base, BaseId, Event, Metric, ModuleTable


def base_value(row: Row[Any], modules: ModuleTable, ids: Iterable[BaseId], original: str | None) -> Base:
    """A base model (a row of ``BASES``); ``ids`` in the order in which they became known, ``original`` by its name.

    Not validated again: every reading of a base would pass all its modules.
    """
    return Base.model_construct(
        name=row.name,
        fingerprint=row.fingerprint,
        architecture=row.architecture,
        vocabulary=row.vocabulary,
        vocab_size=row.vocab_size,
        parameters=row.parameters,
        modules=modules,
        fingerprints=tuple(row.fingerprints),
        sampled=row.sampled,
        config=row.config,
        template=row.template,
        ids=tuple(ids),
        original=original,
        relation=row.relation,
        created_at=row.created_at,
    )


def base_id_value(row: Row[Any], home: Path | None) -> BaseId:
    """One name of a base; a folder inside ``home`` is stored relative to it, so that a home may be moved."""
    kind, value = ("path", str(home / row.value)) if row.kind == "home" and home else (row.kind, row.value)
    return BaseId(kind=kind, value=value, revision=row.revision, template=row.id_template)


def base_id_row(known: BaseId, home: Path | None) -> dict[str, Any]:
    """The columns of a base's name."""
    row = known.model_dump()
    if home and known.kind == "path" and Path(known.value).is_relative_to(home) and Path(known.value) != home:
        row |= {"kind": "home", "value": Path(known.value).relative_to(home).as_posix()}
    return row


def metric_value(row: Row[Any]) -> Metric:
    """A metric (a row of ``METRICS``)."""
    return Metric(
        name=row.name,
        split=row.split,
        value=row.value,
        step=row.step,
        dataset=row.dataset,
        higher_is_better=row.higher_is_better,
    )


def metric_row(metric: Metric, version_id: int) -> dict[str, Any]:
    """The row of a metric."""
    return {
        "version_id": version_id,
        "name": metric.name,
        "split": metric.split,
        "value": metric.value,
        "step": metric.step,
        "dataset": metric.dataset,
        "higher_is_better": metric.higher_is_better,
    }


def event_value(row: Row[Any]) -> Event:
    """An event (a row of ``EVENTS``); the row's id is its cursor."""
    return Event(
        cursor=row.id,
        at=row.at,
        actor=row.actor,
        kind=row.kind,
        adapter=row.adapter,
        version=row.version,
        detail=row.detail,
    )


def alias_value(row: Row[Any]) -> Alias:
    """An alias as the event of one move (a row of ``EVENTS``) left it."""
    return Alias(
        adapter=row.adapter or "",
        name=row.detail["alias"],
        version=row.version or 0,
        previous=row.detail["previous"],
        moved_at=row.at,
        actor=row.actor,
        reason=row.detail["reason"],
        forced=row.detail["forced"],
        rollback=row.detail.get("rollback", False),
    )
