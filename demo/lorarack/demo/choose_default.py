"""The verdict, and what becomes of it: scores in the registry, and ``default`` on the kept version."""

from lorarack.adapters.comparison.compare import conclude
from lorarack.adapters.comparison.plan import ComparisonPlan
from lorarack.adapters.comparison.report import Comparison, as_table
from lorarack.adapters.evaluation.answers import Evaluation
from lorarack.demo.console import StepConsole
from lorarack.registry.interface import Registry


def choose_default(
    console: StepConsole, registry: Registry, plan: ComparisonPlan, evaluation: Evaluation
) -> Comparison:
    """Compare the versions on what they answered, say which to keep, and have ``default`` name it, with the reason."""
    comparison = conclude(registry, plan, evaluation)
    console.show(as_table(comparison))
    kept = registry.resolve(comparison.verdict.keep)
    stays = "default" in kept.aliases
    registry.set_alias(kept.adapter, "default", kept.number, reason=comparison.verdict.reason)
    what = f"stays on {kept.reference}" if stays else f"moved to {kept.reference}"
    console.say(f"{kept.adapter} (its alias 'default') {what}; the reason is kept in its history.")
    return comparison
