"""The verdict, and what becomes of it: scores in the registry, and ``default`` on the kept version."""

from lorarack.adapters.comparison.compare import conclude
from lorarack.adapters.comparison.plan import ComparisonPlan
from lorarack.adapters.comparison.report import as_table
from lorarack.adapters.comparison.verdict import Comparison
from lorarack.adapters.comparison.words import sentence
from lorarack.adapters.evaluation.answers import Evaluation
from lorarack.demo.console import StepConsole
from lorarack.registry.interface import Registry


def choose_default(
    console: StepConsole, registry: Registry, plan: ComparisonPlan, evaluation: Evaluation
) -> Comparison:
    """Compare the versions on what they answered, say which to keep, and have ``default`` name it, with the reason."""
    comparison = conclude(registry, plan, evaluation)
    console.show(as_table(comparison))
    verdict = comparison.verdict
    if verdict.recommended is None:
        console.say(
            f"The alias 'default' stays on {registry.resolve(plan.versions[0].adapter).reference}: nothing is decided."
        )
        return comparison
    chosen = registry.resolve(verdict.recommended)
    stays = "default" in chosen.aliases
    registry.set_alias(chosen.adapter, "default", chosen.number, reason=sentence(verdict))
    what = f"stays on {chosen.reference}" if stays else f"moved to {chosen.reference}"
    console.say(f"{chosen.adapter} (its alias 'default') {what}; the reason is kept in its history.")
    return comparison
