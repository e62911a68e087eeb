"""What running experiments hold: their alias, and the versions of their arms. Kept apart from the rest: it needs no numbers."""

from collections import defaultdict
from functools import cache
from typing import Any

from sqlalchemy import Connection, Select, bindparam, select

from lorarack.registry.catalog.schema import ADAPTERS, ARMS, EXPERIMENTS
from lorarack.registry.errors import Conflict


def running_arms(connection: Connection, adapter_id: int) -> dict[str, set[int]]:
    """Alias as a reference -> the versions that an experiment on it has as arms."""
    running: dict[str, set[int]] = defaultdict(set)
    for adapter, alias, number in connection.execute(_arms(), {"owner_id": adapter_id}):
        running[f"{adapter}@{alias}"].add(number)
    return running


@cache
def _arms() -> Select[Any]:
    query = select(ADAPTERS.c.name, EXPERIMENTS.c.alias, ARMS.c.number)
    query = query.join_from(EXPERIMENTS, ARMS, ARMS.c.experiment_id == EXPERIMENTS.c.id)
    query = query.join(ADAPTERS, ADAPTERS.c.id == EXPERIMENTS.c.adapter_id)
    running = (EXPERIMENTS.c.adapter_id == bindparam("owner_id"), EXPERIMENTS.c.ended_at.is_(None))
    return query.where(*running).order_by(EXPERIMENTS.c.id)


def check_no_experiment(connection: Connection, adapter_id: int, adapter: str, alias: str) -> None:
    """Whether the alias may be moved.

    Raises:
        Conflict: an experiment runs on it.
    """
    named = f"{adapter}@{alias}"
    if named in running_arms(connection, adapter_id):
        raise Conflict(
            f"An experiment runs on {named}; end it with 'lorarack experiment stop {named}', or with "
            f"'lorarack experiment promote {named} VERSION', which moves the alias as well.",
            code="experiment_running",
        )
