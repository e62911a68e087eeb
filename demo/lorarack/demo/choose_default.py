"""The verdict, and the alias ``default`` on the version that it recommends."""

from lorarack.adapters.comparison.report import as_table
from lorarack.adapters.comparison.verdict import Comparison
from lorarack.adapters.comparison.words import sentence
from lorarack.demo.console import StepConsole
from lorarack.registry.interface import Registry


def choose_default(console: StepConsole, registry: Registry, comparison: Comparison) -> None:
    """Show the verdict, and move ``default`` to the recommended version, with the reason."""
    console.show(as_table(comparison))
    verdict = comparison.verdict
    if verdict.recommended is None:
        console.say(
            f"The alias 'default' stays on {registry.resolve(verdict.best.partition('@')[0]).reference}: nothing is decided."
        )
        return
    chosen = registry.resolve(verdict.recommended)
    stays = "default" in chosen.aliases
    registry.set_alias(chosen.adapter, "default", chosen.number, reason=sentence(verdict))
    what = f"stays on {chosen.reference}" if stays else f"moved to {chosen.reference}"
    console.say(f"{chosen.adapter} (its alias 'default') {what}; the reason is kept in its history.")
