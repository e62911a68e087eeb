"""Finished metrics: of each label a version's newest number counts that is of no training step, as for ``Version.metric``."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import ColumnElement, Connection, UnaryExpression, exists, select
from sqlalchemy.sql.operators import custom_op

from lorarack.registry.catalog.tables import METRICS
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
    """Conditions that leave, of ``METRICS``, the finished numbers of that label.

    With ``under_version`` SQLite looks for them under their versions, of which there must be few, not among all of that name.
    """
    name, split = parse_label(label)
    its_name = unindexed(METRICS.c.name) if under_version else METRICS.c.name
    return [its_name == name, METRICS.c.split == split, METRICS.c.step.is_(None)]


def not_superseded(label: str, version_id: Any, id: Any) -> ColumnElement[bool]:  # noqa: A002  (the column's name)
    """That the version has no later finished number of that label."""
    name, split = parse_label(label)
    later = METRICS.alias()
    return ~exists().where(
        later.c.version_id == version_id,
        later.c.name == name,
        later.c.split == split,
        later.c.step.is_(None),
        later.c.id > id,
    )


def newest(label: str) -> list[ColumnElement[bool]]:
    """Conditions that leave, of ``METRICS``, the newest finished number of that label of versions of which there are few."""
    return [*labelled(label, under_version=True), not_superseded(label, METRICS.c.version_id, METRICS.c.id)]


def compared(condition: Condition) -> ColumnElement[bool]:
    """That the number in ``METRICS`` is so."""
    return _COMPARE[condition.operator](METRICS.c.value, condition.value)


def higher_is_better(connection: Connection, label: str) -> bool:
    """The metric's direction: what most say of it, among those that an index finds first."""
    said = connection.scalars(select(METRICS.c.higher_is_better).where(*labelled(label)).limit(_ASKED)).all()
    return 2 * sum(map(bool, said)) > len(said)


def unindexed(column: ColumnElement[Any]) -> Any:
    """The column behind a unary plus: SQLite uses no index for a condition on it."""
    return UnaryExpression(column, operator=_PLUS, type_=column.type)
