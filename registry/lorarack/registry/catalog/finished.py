"""Finished metrics: of each label a version's newest number counts that is of no training step, as for ``Version.metric``."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import ColumnElement, UnaryExpression, exists, select
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased
from sqlalchemy.sql.operators import custom_op

from lorarack.registry.catalog.tables import MetricRow
from lorarack.registry.queries import Condition, Operator, parse_label

_ASKED = 101
_PLUS: Any = custom_op("+")
_COMPARE: dict[Operator, Callable[[Any, float], ColumnElement[bool]]] = {
    "<": lambda column, value: column < value,
    "<=": lambda column, value: column <= value,
    ">": lambda column, value: column > value,
    ">=": lambda column, value: column >= value,
    "=": lambda column, value: column == value,
}


def labelled(label: str, *, under_version: bool = False) -> list[ColumnElement[bool]]:
    """Conditions that leave, of ``MetricRow``, the finished numbers of that label.

    With ``under_version`` SQLite looks for them under their versions, of which there must be few, not among all of that name.
    """
    name, split = parse_label(label)
    its_name = unindexed(MetricRow.name) if under_version else MetricRow.name
    return [its_name == name, MetricRow.split == split, MetricRow.step.is_(None)]


def not_superseded(label: str, version_id: Any, id: Any) -> ColumnElement[bool]:  # noqa: A002  (the column's name)
    """That the version has no later finished number of that label."""
    name, split = parse_label(label)
    later = aliased(MetricRow)
    return ~exists().where(
        later.version_id == version_id,
        later.name == name,
        later.split == split,
        later.step.is_(None),
        later.id > id,
    )


def newest(label: str) -> list[ColumnElement[bool]]:
    """Conditions that leave, of ``MetricRow``, the newest finished number of that label of versions of which there are few."""
    return [*labelled(label, under_version=True), not_superseded(label, MetricRow.version_id, MetricRow.id)]


def compared(condition: Condition) -> ColumnElement[bool]:
    """That the number in ``MetricRow`` is so."""
    return _COMPARE[condition.operator](MetricRow.value, condition.value)


def higher_is_better(session: Session, label: str) -> bool:
    """The metric's direction: what most say of it, among those that an index finds first."""
    said = session.scalars(select(MetricRow.higher_is_better).where(*labelled(label)).limit(_ASKED)).all()
    return 2 * sum(said) > len(said)


def unindexed(column: InstrumentedAttribute[Any]) -> Any:
    """The column behind a unary plus: SQLite uses no index for a condition on it."""
    return UnaryExpression(column.expression, operator=_PLUS, type_=column.type)
