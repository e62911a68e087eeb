"""From a plan and answers to a verdict, kept in the registry."""

from collections.abc import Iterator, Sequence

import numpy as np

from lorarack.adapters.comparison.margin_rule import ERROR_RATE, judge
from lorarack.adapters.comparison.paired import lower_bound, upper_bound
from lorarack.adapters.comparison.plan import ComparisonPlan
from lorarack.adapters.comparison.score_table import ScoreTable
from lorarack.adapters.comparison.speed import speed_of
from lorarack.adapters.comparison.verdict import BaseScore, ComparedRow, Comparison, ScoreMetric, Verdict
from lorarack.adapters.comparison.version_facts import with_facts
from lorarack.adapters.evaluation.answers import Answers, Evaluation
from lorarack.adapters.evaluation.kept import keep_evaluation
from lorarack.registry import Metric, Registry


def conclude(
    registry: Registry,
    plan: ComparisonPlan,
    evaluation: Evaluation,
    *,
    margin: float | None = None,
    memory: int | None = None,
) -> Comparison:
    """Keep each version's score as a metric with the data set's digest, and say which version to recommend.

    Raises:
        UsageError: the margin is none.
    """
    references = tuple(version.reference for version in plan.versions)
    columns = [evaluation.of(reference).scores for reference in references]
    losses = not evaluation.higher_is_better
    table = ScoreTable(references, np.array(columns, dtype=np.float64).T, plan.groups, losses)
    verdict = judge(table, margin, {version.reference: float(version.parameters) for version in plan.versions})
    kept = keep_scores(registry, plan, evaluation)
    answers = {reference: evaluation.of(reference) for reference in references}
    base = next((found for found in evaluation.results if found.subject.model not in references), None)
    warnings = (
        *_cut_off({reference: given.cut_off for reference, given in answers.items()}),
        *(_beside_base(table, verdict, base) if base else ()),
        *_judge(list(answers.values())),
        *(f"{one.sentence}: its score says nothing about new rows." for one in plan.seen),
    )
    return Comparison(
        verdict=with_facts(
            verdict, plan.versions, base=plan.base, memory=memory, answers=answers, metric=kept
        ).model_copy(update={"warnings": warnings}),
        title=evaluation.dataset.name,
        score=evaluation.score,
        dataset=evaluation.dataset.model_copy(update={"split": plan.split}),
        base=_base_score(base, losses=losses) if base else None,
        memory=memory,
        disagreeing=tuple(_disagreeing(plan, evaluation, references)),
    )


def keep_scores(registry: Registry, plan: ComparisonPlan, evaluation: Evaluation) -> ScoreMetric:
    """Keep each version's mean score as a metric with the data set's digest, and the scores themselves beside the registry."""
    kept = ScoreMetric(name=evaluation.score, split=plan.split, dataset=evaluation.dataset.digest)
    dataset = evaluation.dataset.model_copy(update={"split": plan.split})
    for version in plan.versions:
        keep_evaluation(registry, version, evaluation, dataset, plan.groups)
        value = evaluation.of(version.reference).mean
        metric = Metric(**kept.model_dump(), value=value, higher_is_better=evaluation.higher_is_better)
        registry.add_metrics(version.reference, [metric])
    return kept


def _disagreeing(plan: ComparisonPlan, evaluation: Evaluation, references: Sequence[str]) -> Iterator[ComparedRow]:
    answers = {reference: evaluation.of(reference).answers for reference in references}
    for place, row in enumerate(plan.rows if evaluation.higher_is_better else ()):
        here = {reference: given[place] for reference, given in answers.items()}
        if len({answer.score for answer in here.values()}) > 1:
            yield ComparedRow(
                name=plan.rows.where(row),
                scores={reference: answer.score for reference, answer in here.items()},
                prompt=row.question,
                expected=row.completion,
                answers={reference: answer.text for reference, answer in here.items()},
            )


def _base_score(base: Answers, *, losses: bool) -> BaseScore:
    scores = np.array([base.scores], dtype=np.float64).T
    low, high = ScoreTable((base.subject.model,), scores, losses=losses).interval(0)
    return BaseScore(
        model=base.subject.model, rows=len(base.scores), score=base.mean, low=low, high=high, speed=speed_of(base)
    )


def _beside_base(table: ScoreTable, verdict: Verdict, base: Answers) -> Iterator[str]:
    """A warning where nothing shows that the recommended (else the best) version beats the bare base."""
    chosen = verdict.recommended or verdict.best
    stride = base.subject.stride
    scores = np.column_stack([table.scores[::stride, table.references.index(chosen)], base.scores])
    groups = None if table.groups is None else table.groups[::stride]
    gain = ScoreTable((chosen, base.subject.model), scores, groups, table.losses).pair(0, 1)
    low, high = lower_bound(gain, ERROR_RATE), upper_bound(gain, ERROR_RATE)
    if low <= 0:
        yield (
            f"Nothing here shows that {chosen} beats the bare base ({100 * gain.estimate:+.1f} "
            f"{'%' if table.losses else 'points'}, 95 % bounds {100 * low:+.1f} to {100 * high:+.1f})."
        )


def _judge(answers: Sequence[Answers]) -> Iterator[str]:
    """How far the judge may be trusted."""
    reports = [given.judge for given in answers if given.judge]
    judged = sum(report.judged for report in reports)
    if not judged:
        return
    turned, unreadable = (
        sum(counts) for counts in zip(*((r.contradicted, r.unreadable) for r in reports), strict=True)
    )
    yield (
        f"{reports[0].model} judged {judged} answers against the expected ones; turning the order changed its mind on "
        f"{100 * turned / judged:.0f} %"
        + (f", and of {unreadable} it said none of the three letters" if unreadable else "")
        + ": these count as ties."
    )


def _cut_off(counts: dict[str, int]) -> Iterator[str]:
    cut = [f"{count} of {reference}" for reference, count in counts.items() if count]
    if cut:
        yield f"Answers were cut off by the limit of tokens: {', '.join(cut)}; raise --max-tokens to be fair."
