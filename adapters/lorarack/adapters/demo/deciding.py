"""The verdict, and what becomes of it: scores in the registry, and ``default`` on the kept version."""

from lorarack.adapters.comparison.compare import conclude, record
from lorarack.adapters.comparison.report import Comparison, as_table
from lorarack.adapters.demo.stage import Stage
from lorarack.adapters.evaluation.answers import Evaluation
from lorarack.registry.registry import Registry
from lorarack.registry.values import Version


def decide_default(
    stage: Stage, registry: Registry, evaluation: Evaluation, versions: tuple[Version, ...]
) -> Comparison:
    """Compare the versions on what they answered, say which to keep, and have ``default`` name it, with the reason."""
    record(registry, evaluation, versions)
    comparison = conclude(evaluation, versions)
    stage.show(as_table(comparison))
    kept = registry.resolve(comparison.verdict.keep)
    if "default" in kept.aliases:
        stage.say(f"{kept.adapter} (its alias 'default') names {kept.reference} already, and stays there.")
    else:
        registry.set_alias(kept.adapter, "default", kept.number, reason=comparison.verdict.reason)
        stage.say(f"{kept.adapter} (its alias 'default') moved to {kept.reference}; the reason is kept with the move.")
    return comparison
