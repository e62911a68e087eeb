"""The metrics that count: of each metric of a finished version the newest number, as ``Version.metric`` picks it."""

import operator
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, insert, select, tuple_

from lorarack.registry.catalog.row_values import metric_row
from lorarack.registry.catalog.schema import FINISHED, VERSIONS
from lorarack.registry.queries import Condition, Operator, parse_label
from lorarack.registry.values import Metric

#: How many numbers are asked for a metric's direction.
_SAMPLE = 101
_COLUMNS = [column.name for column in FINISHED.c]
_COMPARE: dict[Operator, Callable[[Any, Any], ColumnElement[bool]]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "=": operator.eq,
}  # fmt: skip


def update_latest(connection: Connection, version_id: int, metrics: Sequence[Metric], *, first: bool = False) -> None:
    """Store the latest values among ``metrics``, which are new to the version; ``first``: it has no others."""
    newest = {(metric.name, metric.split): metric for metric in metrics if metric.step is None}
    if not newest:
        return
    if not first:
        label = tuple_(FINISHED.c.name, FINISHED.c.split)
        connection.execute(delete(FINISHED).where(FINISHED.c.version_id == version_id, label.in_(list(newest))))
    rows = [metric_row(metric, version_id) for metric in newest.values()]
    connection.execute(insert(FINISHED), [{name: row[name] for name in _COLUMNS} for row in rows])


def of_label(label: str) -> list[ColumnElement[bool]]:
    """The conditions that a row of ``FINISHED`` is of that metric."""
    name, split = parse_label(label)
    return [FINISHED.c.name == name, FINISHED.c.split == split]


def has_metric(condition: Condition) -> ColumnElement[bool]:
    """The condition that a version's latest value compares like that."""
    compared = _COMPARE[condition.operator](FINISHED.c.value, condition.value)
    return VERSIONS.c.id.in_(select(FINISHED.c.version_id).where(*of_label(condition.label), compared))


def higher_is_better(connection: Connection, label: str) -> bool:
    """The metric's direction: what most of the first rows say."""
    said = connection.scalars(select(FINISHED.c.higher_is_better).where(*of_label(label)).limit(_SAMPLE)).all()
    return bool(2 * sum(said) > len(said))
