"""What is kept of the answers of experiments, of their shadows and of what was said of them, and the sums over all of it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from lorarack.registry.catalog.connection import is_listed, now
from lorarack.registry.catalog.experiment_rows import read_experiment, read_experiments
from lorarack.registry.catalog.schema import ARMS, EXPERIMENTS, EXPOSURES
from lorarack.registry.errors import Conflict, NotFound
from lorarack.registry.experiment.observed import Answer, Feedback, Tally
from lorarack.registry.experiment.paired import PairedScores
from lorarack.registry.experiment.shadow import DifferentAnswers, ShadowResult
from lorarack.registry.experiment.values import FEEDBACK_DAYS, Experiment


def record(connection: Connection, answers: Sequence[Answer], shadows: Sequence[ShadowResult]) -> None:
    """Keep answers, and then what became of shadows, which may be those of answers that were kept earlier."""
    for ident, given in _by_experiment(answers).items():
        tallies = read_tallies(connection, ident)
        if not tallies:  # of a catalog that was brought back from a copy since
            continue
        _add_exposures(connection, ident, given)
        for answer in given:
            if answer.arm in tallies:
                tallies[answer.arm] = tallies[answer.arm].observe(answer)
        _keep_tallies(connection, ident, tallies)
    for ident, results in _by_experiment(shadows).items():
        if tallies := read_tallies(connection, ident):
            _add_shadows(connection, read_experiment(connection, ident), tallies, results)


def add_feedback(connection: Connection, completion: str, key: str, metric: str, value: float) -> Feedback:
    """See ``interface.Experiments``."""
    row = connection.execute(select(EXPOSURES).where(EXPOSURES.c.completion == completion)).first()
    if row is None or row.key != key:  # does not reveal whether another key has it
        raise NotFound(
            f"No answer {completion[:80]!r} of an experiment was given to this key; "
            "send the 'id' of an answer that has the header x-lorarack-arm.",
            code="unknown_completion",
        )
    experiment = read_experiment(connection, row.experiment_id)
    if metric != experiment.plan.metric:
        raise Conflict(
            f"The experiment on {experiment.named} counts {experiment.plan.metric!r}, not {metric[:80]!r}.",
            code="other_metric",
        )
    feedback = Feedback(completion=completion, experiment=experiment.id, arm=row.arm, metric=metric, value=value)
    if row.value == value:
        return feedback  # said again
    if row.value is not None:
        raise Conflict(
            f"{completion} has the feedback {row.value:g} already; the first one counts.", code="feedback_given"
        )
    if experiment.ended_at is not None:
        raise Conflict(
            f"The experiment on {experiment.named} has ended; feedback counts no more.", code="experiment_ended"
        )
    if now(connection) - row.at > timedelta(days=FEEDBACK_DAYS):
        raise Conflict(
            f"{completion} is older than {FEEDBACK_DAYS} days; feedback is taken until then.", code="too_late"
        )
    tallies = read_tallies(connection, experiment.id)
    tally = tallies[row.arm]
    tallies[row.arm] = tally.model_copy(update={"scores": tally.scores.observe(value)})
    if row.same is not None:
        _add_pair(experiment, tallies, row.arm, row.shadow_arm, row.shadow_share, value, same=row.same)
    _keep_tallies(connection, experiment.id, tallies)
    connection.execute(update(EXPOSURES).where(EXPOSURES.c.completion == completion).values(value=value))
    return feedback


def differing(connection: Connection, ident: int, limit: int) -> tuple[DifferentAnswers, ...]:
    """The newest requests to which two arms gave different answers."""
    query = select(EXPOSURES).where(EXPOSURES.c.experiment_id == ident, EXPOSURES.c.same.is_(False))
    rows = connection.execute(query.order_by(EXPOSURES.c.at.desc(), EXPOSURES.c.completion).limit(limit))
    return tuple(
        DifferentAnswers(
            completion=row.completion,
            at=row.at,
            arm=row.arm,
            text=row.text,
            other=row.shadow_arm,
            shadow_text=row.shadow_text,
            value=row.value,
        )
        for row in rows
    )


def old_answers(connection: Connection) -> tuple[tuple[Experiment, int], ...]:
    """Experiments that ended longer ago than feedback is taken, and how many answers are kept of each; those with none left out."""
    before = now(connection) - timedelta(days=FEEDBACK_DAYS)
    counts = select(EXPOSURES.c.experiment_id, func.count()).group_by(EXPOSURES.c.experiment_id)
    kept = {row[0]: row[1] for row in connection.execute(counts)}
    ended = read_experiments(connection, EXPERIMENTS.c.ended_at < before)
    return tuple((experiment, kept[experiment.id]) for experiment in ended if experiment.id in kept)


def remove_answers(connection: Connection, ident: int) -> int:
    """Remove the answers of an experiment that has ended, and keep how many callers each arm had; how many they were."""
    experiment = read_experiment(connection, ident)
    if experiment.ended_at is None:
        return 0
    callers = read_callers(connection, experiment)
    tallies = {
        name: tally.model_copy(update={"callers": callers.get(name, 0)})
        for name, tally in read_tallies(connection, ident).items()
    }
    _keep_tallies(connection, ident, tallies)
    return connection.execute(delete(EXPOSURES).where(EXPOSURES.c.experiment_id == ident)).rowcount


def read_tallies(connection: Connection, ident: int) -> dict[str, Tally]:
    """Arm -> sums over what it has answered; empty where there is no such experiment."""
    rows = connection.execute(select(ARMS.c.name, ARMS.c.tally).where(ARMS.c.experiment_id == ident))
    return {name: Tally.model_validate(tally) for name, tally in rows}


def read_callers(connection: Connection, experiment: Experiment) -> dict[str, int]:
    """Arm -> its callers since weights were last changed."""
    query = select(EXPOSURES.c.arm, func.count(EXPOSURES.c.caller.distinct())).group_by(EXPOSURES.c.arm)
    since = (EXPOSURES.c.experiment_id == experiment.id, EXPOSURES.c.at >= experiment.assigned_since)
    return {row[0]: row[1] for row in connection.execute(query.where(*since))}


def set_arm(connection: Connection, ident: int, name: str, **values: Any) -> None:
    """Change columns of one arm."""
    connection.execute(update(ARMS).where(ARMS.c.experiment_id == ident, ARMS.c.name == name).values(**values))


def _by_experiment(these: Iterable[Any]) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = defaultdict(list)
    for each in these:
        found[each.experiment].append(each)
    return found


def _keep_tallies(connection: Connection, ident: int, tallies: Mapping[str, Tally]) -> None:
    for name, tally in tallies.items():
        set_arm(connection, ident, name, tally=tally.to_json())


def _add_exposures(connection: Connection, ident: int, answers: Sequence[Answer]) -> None:
    known = select(EXPOSURES.c.completion)
    known = known.where(is_listed(EXPOSURES.c.completion, [answer.completion for answer in answers]))
    taken, moment, rows = set(connection.scalars(known)), now(connection), []
    for answer in answers:
        if answer.completion not in taken:  # clients may choose ids, and choose one twice
            taken.add(answer.completion)
            rows.append(
                {
                    "completion": answer.completion, "experiment_id": ident, "arm": answer.arm,
                    "caller": answer.caller, "key": answer.key, "at": answer.at or moment,
                }
            )  # fmt: skip
    if rows:
        connection.execute(insert(EXPOSURES), rows)


def _add_shadows(
    connection: Connection, experiment: Experiment, tallies: dict[str, Tally], results: Sequence[ShadowResult]
) -> None:
    listed = is_listed(EXPOSURES.c.completion, [result.completion for result in results])
    rows = {row.completion: row for row in connection.execute(select(EXPOSURES).where(listed))}
    for result in results:
        if result.arm not in tallies:
            continue
        tally = tallies[result.arm]
        tallies[result.arm] = tally.model_copy(update={"shadow": tally.shadow.observe(result)})
        row = rows.pop(result.completion, None)  # an id that came twice is that of its first answer
        if row is None or row.same is not None or result.same is None or row.arm != result.arm:
            continue
        kept = {
            "shadow_arm": result.other, "shadow_share": result.share, "same": result.same,
            "text": result.text, "shadow_text": result.shadow_text,
        }  # fmt: skip
        connection.execute(update(EXPOSURES).where(EXPOSURES.c.completion == result.completion).values(**kept))
        if row.value is not None and experiment.ended_at is None:
            other, share = str(result.other), result.share or 0.0
            _add_pair(experiment, tallies, result.arm, other, share, row.value, same=result.same)
    _keep_tallies(connection, experiment.id, tallies)


def _add_pair(
    experiment: Experiment,
    tallies: dict[str, Tally],
    arm: str,
    other: str,
    share: float,
    value: float,
    *,
    same: bool,
) -> None:
    """Count one request that both arms answered, once its shadow and its feedback are both known."""
    challenger, reference = experiment.pair(arm, other)
    tally = tallies[challenger]
    before = tally.paired.get(reference, PairedScores(graded=experiment.plan.graded))
    after = before.observe(value, share, same=same, of_challenger=arm == challenger)
    tallies[challenger] = tally.model_copy(update={"paired": {**tally.paired, reference: after}})
