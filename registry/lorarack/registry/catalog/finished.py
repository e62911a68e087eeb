"""Finished metrics: of each label a version's newest number counts that is of no training step, as for ``Version.metric``."""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, delete, insert, select, tuple_

from lorarack.registry.catalog.hints import unindexed
from lorarack.registry.catalog.mapping import metric_row
from lorarack.registry.catalog.prepared import Prepared
from lorarack.registry.catalog.tables import FINISHED
from lorarack.registry.queries import Condition, Operator, parse_label
from lorarack.registry.values import Metric

_ASKED = 101
_NEW = insert(FINISHED)
_COLUMNS = [column.name for column in FINISHED.c]
_COMPARE: dict[Operator, Callable[[Any, Any], ColumnElement[bool]]] = {
    "<": lambda column, value: column < value,
    "<=": lambda column, value: column <= value,
    ">": lambda column, value: column > value,
    ">=": lambda column, value: column >= value,
    "=": lambda column, value: column == value,
}


def keep_finished(connection: Connection, version_id: int, metrics: Sequence[Metric], *, first: bool = False) -> None:
    """Keep what of ``metrics``, which are new to the version, counts from now on; ``first``: it has no others."""
    newest = {(metric.name, metric.split): metric for metric in metrics if metric.step is None}
    if not newest:
        return
    if not first:
        label = tuple_(FINISHED.c.name, FINISHED.c.split)
        connection.execute(delete(FINISHED).where(FINISHED.c.version_id == version_id, label.in_(list(newest))))
    rows = [metric_row(metric, version_id) for metric in newest.values()]
    connection.execute(_NEW, [{name: row[name] for name in _COLUMNS} for row in rows])


def labelled(name: Any, split: Any, rows: Any = FINISHED, *, of_few: bool = False) -> list[ColumnElement[bool]]:
    """Conditions that leave the numbers of that label; ``of_few``: under versions that are listed, not among all of the label."""
    return [(unindexed(rows.c.name) if of_few else rows.c.name) == name, rows.c.split == split]


def compared(operator: Operator, value: Any, rows: Any = FINISHED) -> ColumnElement[bool]:
    """That the number is so."""
    return _COMPARE[operator](rows.c.value, value)


def is_of(condition: Condition, label: str) -> bool:
    """Whether it is about that label, in whichever of its spellings."""
    return parse_label(condition.label) == parse_label(label)


def higher_is_better(connection: Connection, label: str) -> bool:
    """The metric's direction: what most say of it, among those that an index finds first."""
    name, split = parse_label(label)
    said = _DIRECTIONS.scalars(connection, name=name, split=split)
    return bool(2 * sum(said) > len(said))


def _directions() -> Any:
    return select(FINISHED.c.higher_is_better).where(*labelled(bindparam("name"), bindparam("split"))).limit(_ASKED)


_DIRECTIONS = Prepared(_directions)
