"""Live experiments in a database. What each call promises is in ``interface.ExperimentCatalog``."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from lorarack.registry.catalog import experiment_answers
from lorarack.registry.catalog.connection import Database, inserted_id, now
from lorarack.registry.catalog.events import move_alias, record
from lorarack.registry.catalog.experiment_answers import read_callers, read_tallies, set_arm
from lorarack.registry.catalog.experiment_rows import read_experiment, read_experiments
from lorarack.registry.catalog.rows import AdapterRow, find_version
from lorarack.registry.catalog.schema import ADAPTERS, ALIASES, ARMS, EXPERIMENTS, LOOKS, VERSIONS
from lorarack.registry.errors import Conflict
from lorarack.registry.experiment.observed import Answer, Feedback, Look, Observed, Tally
from lorarack.registry.experiment.review import Review
from lorarack.registry.experiment.scores import Scores
from lorarack.registry.experiment.shadow import DifferentAnswers, ShadowResult
from lorarack.registry.experiment.values import Experiment, NewExperiment
from lorarack.registry.interface.experiments import ExperimentCatalog
from lorarack.registry.values import State


class SqlExperiments(ExperimentCatalog):
    """Implements ``ExperimentCatalog``: each call is one transaction, around a function of its connection."""

    def __init__(self, database: Database) -> None:
        self._read, self._write = database.read, database.write

    def list(self, adapter: str | None = None, alias: str | None = None) -> tuple[Experiment, ...]:
        return self._read(read_experiments, *_conditions(adapter, alias))

    def observed(self, ident: int, *, with_callers: bool = True) -> Observed:
        return self._read(_observed, ident, with_callers=with_callers)

    def start(self, actor: str, new: NewExperiment) -> Experiment:
        return self._write(_start, actor, new)

    def set_weights(self, actor: str, ident: int, weights: Mapping[str, float]) -> Experiment:
        return self._write(_set_weights, actor, ident, weights)

    def keep_review(self, actor: str, ident: int, found: Review) -> Experiment:
        return self._write(_keep_review, actor, ident, found)

    def end(self, actor: str, ident: int, reason: str | None, promoted: int | None = None) -> Experiment:
        return self._write(_end, actor, ident, reason, promoted)

    def record(self, answers: Sequence[Answer], shadows: Sequence[ShadowResult] = ()) -> None:
        self._write(experiment_answers.record, answers, shadows)

    def add_feedback(self, completion: str, key: str, metric: str, value: float) -> Feedback:
        return self._write(experiment_answers.add_feedback, completion, key, metric, value)

    def differing(self, ident: int, limit: int) -> tuple[DifferentAnswers, ...]:
        return self._read(experiment_answers.differing, ident, limit)

    def old_answers(self) -> tuple[tuple[Experiment, int], ...]:
        return self._read(experiment_answers.old_answers)

    def remove_answers(self, ident: int) -> int:
        return self._write(experiment_answers.remove_answers, ident)


def _start(connection: Connection, actor: str, new: NewExperiment) -> Experiment:
    owner, reference = find_version(connection, new.adapter, new.arms[0].version)
    if running := read_experiments(connection, *_conditions(new.adapter, new.alias), running=True):
        named = running[0].named
        raise Conflict(
            f"{named} has an experiment already; end it with 'lorarack experiment stop {named}'.",
            code="experiment_running",
        )
    _check_named(connection, owner, new, reference.id)
    for arm in new.arms:
        _check_ready(connection, new.adapter, arm.version, "be an arm")
    moment = now(connection)
    row = {
        "adapter_id": owner.id, "alias": new.alias, "metric": new.plan.metric, "plan": new.plan.to_json(),
        "started_at": moment, "started_by": actor, "weights_changed_at": moment,
    }  # fmt: skip
    ident = inserted_id(connection.execute(insert(EXPERIMENTS), row))
    empty = Tally(scores=Scores(graded=new.plan.graded)).to_json()
    arms = [
        {
            "experiment_id": ident, "name": arm.name, "place": place, "number": arm.version,
            "weight": arm.weight, "state": arm.state.value, "tally": empty,
        }
        for place, arm in enumerate(new.arms)
    ]  # fmt: skip
    connection.execute(insert(ARMS), arms)
    started = read_experiment(connection, ident)
    _record(connection, actor, "experiment_started", started, margin=new.plan.margin, metric=new.plan.metric)
    return started


def _set_weights(connection: Connection, actor: str, ident: int, weights: Mapping[str, float]) -> Experiment:
    _running(connection, ident)
    for name, weight in weights.items():
        set_arm(connection, ident, name, weight=weight)
    _set_weights_changed(connection, ident)
    adjusted = read_experiment(connection, ident)
    _record(connection, actor, "experiment_adjusted", adjusted)
    return adjusted


def _keep_review(connection: Connection, actor: str, ident: int, found: Review) -> Experiment:
    experiment = read_experiment(connection, ident)
    if experiment.ended_at is not None:
        return experiment
    _add_looks(connection, experiment, found.looks)
    for name, state in found.states.items():
        if (arm := experiment.arm(name)) and arm.state is not state:
            set_arm(connection, ident, name, state=state.value)
            _record(connection, actor, "experiment_state", experiment, arm.version, arm=name, state=state.value)
    for name, reason in found.stopped.items():
        if (arm := experiment.arm(name)) and arm.stopped is None:
            set_arm(connection, ident, name, stopped=reason)
            _set_weights_changed(connection, ident)
            _record(connection, actor, "experiment_arm_stopped", experiment, arm.version, arm=name, reason=reason)
    return read_experiment(connection, ident)


def _end(connection: Connection, actor: str, ident: int, reason: str | None, promoted: int | None) -> Experiment:
    experiment = _running(connection, ident)
    ended = update(EXPERIMENTS).where(EXPERIMENTS.c.id == ident)
    connection.execute(ended.values(ended_at=now(connection), reason=reason))
    _record(connection, actor, "experiment_ended", experiment, promoted=promoted, reason=reason)
    if promoted is not None and promoted != experiment.reference.version:
        _check_ready(connection, experiment.adapter, promoted, "be named by an alias")
        owner, row = find_version(connection, experiment.adapter, promoted)
        why = reason or f"promoted from experiment {ident}"
        move_alias(connection, actor, owner, experiment.alias, row, experiment.reference.version, why)
    return read_experiment(connection, ident)


def _conditions(adapter: str | None, alias: str | None) -> tuple[Any, ...]:
    conditions = []
    if adapter is not None:
        conditions.append(ADAPTERS.c.name == adapter)
    if alias is not None:
        conditions.append(EXPERIMENTS.c.alias == alias)
    return tuple(conditions)


def _running(connection: Connection, ident: int) -> Experiment:
    experiment = read_experiment(connection, ident)
    if experiment.ended_at is not None:
        raise Conflict(f"The experiment on {experiment.named} has ended.", code="experiment_ended")
    return experiment


def _check_named(connection: Connection, owner: AdapterRow, new: NewExperiment, reference: int) -> None:
    query = select(VERSIONS.c.id, VERSIONS.c.number).join_from(ALIASES, VERSIONS, VERSIONS.c.id == ALIASES.c.version_id)
    named = connection.execute(query.where(ALIASES.c.adapter_id == owner.id, ALIASES.c.name == new.alias)).first()
    if named is None or named.id != reference:
        raise Conflict(f"{new.adapter}@{new.alias} was moved meanwhile; check it and retry.", code="stale_expect")


def _check_ready(connection: Connection, adapter: str, number: int, purpose: str) -> None:
    _, version = find_version(connection, adapter, number)
    if version.state != State.READY:
        raise Conflict(f"{adapter}@{number} is {version.state}; only a ready version can {purpose}.", code="not_ready")


def _set_weights_changed(connection: Connection, ident: int) -> None:
    connection.execute(update(EXPERIMENTS).where(EXPERIMENTS.c.id == ident).values(weights_changed_at=now(connection)))


def _record(
    connection: Connection, actor: str, kind: str, experiment: Experiment, version: int | None = None, **detail: Any
) -> None:
    weights = {arm.name: arm.weight for arm in experiment.arms}
    detail = {"experiment": experiment.id, "alias": experiment.alias, "weights": weights, **detail}
    record(connection, actor, kind, experiment.adapter, version, **detail)


def _observed(connection: Connection, ident: int, *, with_callers: bool) -> Observed:
    experiment, tallies = read_experiment(connection, ident), read_tallies(connection, ident)
    looks = select(*(LOOKS.c[name] for name in Look.model_fields)).where(LOOKS.c.experiment_id == ident)
    callers = read_callers(connection, experiment) if with_callers else {}
    return Observed(
        at=now(connection),
        experiment=experiment,
        tallies=tallies,
        callers={name: tally.callers for name, tally in tallies.items() if tally.callers is not None} or callers,
        looks=tuple(Look(**row._mapping) for row in connection.execute(looks.order_by(LOOKS.c.count))),
    )


def _add_looks(connection: Connection, experiment: Experiment, looks: Sequence[Look]) -> None:
    known = select(LOOKS.c.arm, LOOKS.c.other, func.max(LOOKS.c.count)).group_by(LOOKS.c.arm, LOOKS.c.other)
    last = {
        (arm, other): count
        for arm, other, count in connection.execute(known.where(LOOKS.c.experiment_id == experiment.id))
    }
    for look in looks:
        before = last.get((look.arm, look.other), 0)
        if look.count == before:  # more pairs alone: its place is that of the last look
            here = (LOOKS.c.experiment_id == experiment.id, LOOKS.c.arm == look.arm, LOOKS.c.other == look.other)
            same = (*here, LOOKS.c.count == look.count, LOOKS.c.pairs < look.pairs)
            connection.execute(update(LOOKS).where(*same).values(**look.model_dump()))
        elif look.count > before:
            connection.execute(insert(LOOKS), {"experiment_id": experiment.id, **look.model_dump()})
