"""The metrics that count, kept for searching: of each name, split and data set a version's newest value (``registry.metrics``)."""

import operator
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, func, insert, or_, select, tuple_

from lorarack.registry.catalog.schema import FINISHED, VERSIONS
from lorarack.registry.metrics import latest_metrics
from lorarack.registry.queries import Condition, Operator, parse_label
from lorarack.registry.values import Metric

#: How many numbers are asked for a metric's direction.
_SAMPLE = 101
_COLUMNS = [column.name for column in FINISHED.c]
_COMPARE: dict[Operator, Callable[[Any, Any], ColumnElement[bool]]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "=": operator.eq,
}  # fmt: skip


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


def update_latest(connection: Connection, version_id: int, metrics: Sequence[Metric], *, first: bool = False) -> None:
    """Store the latest values among ``metrics``, which are new to the version; ``first``: it has no others."""
    newest = {(key.name, key.split, key.dataset or ""): metric for key, metric in latest_metrics(metrics).items()}
    if not newest:
        return
    if not first:
        key = tuple_(FINISHED.c.name, FINISHED.c.split, FINISHED.c.dataset)
        connection.execute(delete(FINISHED).where(FINISHED.c.version_id == version_id, key.in_(list(newest))))
    rows = [metric_row(metric, version_id) | {"dataset": metric.dataset or ""} for metric in newest.values()]
    connection.execute(insert(FINISHED), [{name: row[name] for name in _COLUMNS} for row in rows])


def of_label(label: str) -> list[ColumnElement[bool]]:
    """The conditions that a row of ``FINISHED`` is of that metric."""
    name, split = parse_label(label)
    return [FINISHED.c.name == name, FINISHED.c.split == split]


def has_metric(condition: Condition, dataset: str | None) -> ColumnElement[bool]:
    """The condition that a version's latest value (on that data set) compares like that."""
    compared = _COMPARE[condition.operator](FINISHED.c.value, condition.value)
    on = [] if dataset is None else [is_meant(dataset)]
    return VERSIONS.c.id.in_(select(FINISHED.c.version_id).where(*of_label(condition.label), compared, *on))


def is_meant(wanted: str) -> ColumnElement[bool]:
    """The condition that a row is of the data set that ``wanted`` means, as ``registry.metrics.is_dataset`` has it."""
    its = FINISHED.c.dataset
    if wanted == "none":
        return its == ""
    return its.startswith(wanted, autoescape=True) | its.startswith(f"sha256:{wanted}", autoescape=True)


def on_dataset(label: str, dataset: str | None) -> list[ColumnElement[bool]]:
    """The conditions that a row is what counts of its version on a data set: the value that names it, else the one without any."""
    if dataset is None:
        return [*of_label(label), FINISHED.c.dataset == ""]
    named = select(FINISHED.c.version_id).where(*of_label(label), FINISHED.c.dataset == dataset)
    unnamed = and_(FINISHED.c.dataset == "", FINISHED.c.version_id.not_in(named))
    return [*of_label(label), or_(FINISHED.c.dataset == dataset, unnamed)]


def only_dataset(connection: Connection, label: str) -> tuple[bool, str | None]:
    """Whether the values of the label name one data set at most, and which. Two looks into an index; counting reads all values."""
    ends = (func.min(FINISHED.c.dataset), func.max(FINISHED.c.dataset))
    of_named = (*of_label(label), FINISHED.c.dataset > "")
    low, high = (connection.scalar(select(end).where(*of_named)) for end in ends)
    return (low is None or low == high), low


def count_datasets(connection: Connection, label: str, among: Sequence[ColumnElement[bool]]) -> dict[str | None, int]:
    """On how many versions ``among`` those that fulfil conditions the metric was measured on each data set."""
    query = select(FINISHED.c.dataset, func.count()).where(*of_label(label)).group_by(FINISHED.c.dataset)
    if among:
        query = query.where(FINISHED.c.version_id.in_(select(VERSIONS.c.id).where(*among)))
    return {dataset or None: count for dataset, count in connection.execute(query.order_by(FINISHED.c.dataset))}


def higher_is_better(connection: Connection, label: str) -> bool:
    """The metric's direction: what most of the first rows say."""
    said = connection.scalars(select(FINISHED.c.higher_is_better).where(*of_label(label)).limit(_SAMPLE)).all()
    return bool(2 * sum(said) > len(said))
