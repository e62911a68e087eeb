"""Experiments read from their rows."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, select

from lorarack.registry.catalog.schema import ADAPTERS, ARMS, EXPERIMENTS
from lorarack.registry.errors import NotFound
from lorarack.registry.experiment.values import Arm, Experiment, Plan


def read_experiments(
    connection: Connection, *conditions: ColumnElement[bool], running: bool = False
) -> tuple[Experiment, ...]:
    """Those for which all ``conditions`` on ``EXPERIMENTS`` and ``ADAPTERS`` hold, the newest first."""
    query = select(EXPERIMENTS, ADAPTERS.c.name.label("adapter"))
    query = query.join_from(EXPERIMENTS, ADAPTERS, ADAPTERS.c.id == EXPERIMENTS.c.adapter_id)
    if running:
        conditions = (*conditions, EXPERIMENTS.c.ended_at.is_(None))
    rows = connection.execute(query.where(*conditions).order_by(EXPERIMENTS.c.id.desc())).all()
    arms: dict[int, list[Any]] = defaultdict(list)
    if rows:
        of_these = select(ARMS).where(ARMS.c.experiment_id >= rows[-1].id, ARMS.c.experiment_id <= rows[0].id)
        for arm in connection.execute(of_these.order_by(ARMS.c.experiment_id, ARMS.c.place)):
            arms[arm.experiment_id].append(arm)
    return tuple(_experiment(row, arms[row.id]) for row in rows)


def read_experiment(connection: Connection, ident: int) -> Experiment:
    """That very experiment.

    Raises:
        NotFound: there is none of that number.
    """
    found = read_experiments(connection, EXPERIMENTS.c.id == ident)
    if not found:
        raise NotFound(f"There is no experiment {ident}.", code="unknown_experiment")
    return found[0]


def _experiment(row: Any, arms: Sequence[Any]) -> Experiment:
    return Experiment(
        id=row.id,
        adapter=row.adapter,
        alias=row.alias,
        plan=Plan.model_validate(row.plan),
        arms=tuple(
            Arm(name=arm.name, version=arm.number, weight=arm.weight, state=arm.state, stopped=arm.stopped)
            for arm in arms
        ),
        started_at=row.started_at,
        started_by=row.started_by,
        weights_changed_at=row.weights_changed_at,
        ended_at=row.ended_at,
        reason=row.reason,
    )
