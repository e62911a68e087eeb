"""From a plan and answers to a verdict, kept in the registry."""

from collections.abc import Callable

from lorarack.adapters.comparison.candidates import candidates
from lorarack.adapters.comparison.plan import ComparisonPlan
from lorarack.adapters.comparison.report import Comparison
from lorarack.adapters.comparison.verdict import decide
from lorarack.adapters.evaluation.answers import Evaluation
from lorarack.adapters.evaluation.client import ServerClient
from lorarack.adapters.evaluation.run import evaluate
from lorarack.registry import Metric, Registry


def compare(
    registry: Registry, plan: ComparisonPlan, client: ServerClient, done: Callable[[int], None] = lambda _: None
) -> Comparison:
    """Ask the plan's rows, keep the scores, and say which version to keep.

    Args:
        registry: where the scores go.
        plan: of ``plan_comparison``.
        client: a server of the plan's base over the same registry.
        done: called after each answer with the number of answers so far, of ``plan.requests``.

    Raises:
        LorarackError: as ``evaluate``; nothing is recorded then.
    """
    return conclude(registry, plan, evaluate(plan.subjects, plan.rows, plan.score, client, done))


def conclude(registry: Registry, plan: ComparisonPlan, evaluation: Evaluation) -> Comparison:
    """Keep each version's score as a metric with the data set's digest, and say which version to keep."""
    for version in plan.versions:
        metric = Metric(
            name=evaluation.score,
            split=plan.split,
            value=evaluation.of(version.reference).mean,
            dataset=evaluation.dataset.digest,
            higher_is_better=True,
        )
        registry.add_metrics(version.reference, [metric])
    lines = candidates(evaluation, plan.versions)
    verdict = decide(lines, binary=evaluation.binary)
    warnings = [f"{one.sentence}: its score says nothing about new rows." for one in plan.seen]
    return Comparison(
        score=evaluation.score,
        dataset=evaluation.dataset.model_copy(update={"split": plan.split}),
        candidates=lines,
        verdict=verdict.model_copy(update={"warnings": (*verdict.warnings, *warnings)}),
    )
