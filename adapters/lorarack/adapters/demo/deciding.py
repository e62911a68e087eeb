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
    stays = "default" in kept.aliases
    registry.set_alias(kept.adapter, "default", kept.number, reason=comparison.verdict.reason)
    what = f"stays on {kept.reference}" if stays else f"moved to {kept.reference}"
    stage.say(f"{kept.adapter} (its alias 'default') {what}; the reason is kept in its history.")
    return comparison
