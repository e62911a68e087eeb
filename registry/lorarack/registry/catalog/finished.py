"""Finished metrics: of each label a version's newest number counts that is of no training step, as for ``Version.metric``."""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, delete, insert, select, tuple_
from sqlalchemy.orm import Session

from lorarack.registry.catalog.hints import unindexed
from lorarack.registry.catalog.tables import FinishedRow
from lorarack.registry.queries import Condition, Operator, parse_label
from lorarack.registry.values import Metric

_FINISHED: Any = FinishedRow.__table__
_ASKED = 101
_COMPARE: dict[Operator, Callable[[Any, float], ColumnElement[bool]]] = {
    "<": lambda column, value: column < value,
    "<=": lambda column, value: column <= value,
    ">": lambda column, value: column > value,
    ">=": lambda column, value: column >= value,
    "=": lambda column, value: column == value,
}


def keep_finished(session: Session, version_id: int, metrics: Sequence[Metric], *, first: bool = False) -> None:
    """Keep what of ``metrics``, which are new to the version, counts from now on; ``first``: it has no others."""
    newest = {(metric.name, metric.split): metric for metric in metrics if metric.step is None}
    if not newest:
        return
    if not first:
        label = tuple_(FinishedRow.name, FinishedRow.split)
        session.execute(delete(_FINISHED).where(FinishedRow.version_id == version_id, label.in_(list(newest))))
    values = [{"version_id": version_id, **metric.model_dump(exclude={"step"})} for metric in newest.values()]
    session.execute(insert(_FINISHED), values)


def labelled(label: str, rows: Any = FinishedRow, *, of_few: bool = False) -> list[ColumnElement[bool]]:
    """Conditions that leave the numbers of that label; ``of_few``: under versions that are listed, not among all of the label."""
    name, split = parse_label(label)
    return [(unindexed(rows.name) if of_few else rows.name) == name, rows.split == split]


def compared(condition: Condition, rows: Any = FinishedRow) -> ColumnElement[bool]:
    """That the number is so."""
    return _COMPARE[condition.operator](rows.value, condition.value)


def is_of(condition: Condition, label: str) -> bool:
    """Whether it is about that label, in whichever of its spellings."""
    return parse_label(condition.label) == parse_label(label)


def higher_is_better(session: Session, label: str) -> bool:
    """The metric's direction: what most say of it, among those that an index finds first."""
    said = session.scalars(select(FinishedRow.higher_is_better).where(*labelled(label)).limit(_ASKED)).all()
    return 2 * sum(said) > len(said)
