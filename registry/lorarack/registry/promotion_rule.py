"""Whether a version may take another's place under a rule: pure arithmetic and the sentence that says how it came out."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from lorarack.registry.metrics import by_dataset, is_dataset, pair, short_dataset
from lorarack.registry.queries import Rule, parse_label
from lorarack.registry.values import Metric, Version


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether the rule holds, and why, with the figures."""

    holds: bool
    sentence: str


def judge(rule: Rule, candidate: Version, present: Version | None) -> Outcome:
    """Hold ``rule`` against the two versions; with no present version it is enough that the candidate was measured.

    Gains are counted in decimal, as people wrote the numbers: 0.3 is better than 0.2 by 0.1, not by a little less.
    """
    name, split = parse_label(rule.label)
    new = _on(by_dataset(candidate.metrics, name, split), rule.dataset)
    on = f" on {rule.dataset}" if rule.dataset else ""
    if not new:
        return Outcome(False, f"{candidate.reference} has no {rule.label}{on}")
    newest = list(new.values())[-1]
    if present is None:
        return Outcome(True, f"{candidate.reference} has {rule.label} {newest.value:g}, and nothing stood there before")
    old = _on(by_dataset(present.metrics, name, split), rule.dataset)
    if not old:
        return Outcome(False, f"{present.reference}, which stands there now, has no {rule.label}{on} to compare with")
    found = pair(new, old)
    if found is None:
        last = list(old.values())[-1]
        return Outcome(
            False,
            f"{rule.label} of {candidate.reference} and {present.reference} was measured on different data "
            f"({short_dataset(newest.dataset)} and {short_dataset(last.dataset)}), which is no comparison",
        )
    mine, theirs = found
    if mine.higher_is_better is not theirs.higher_is_better:
        return Outcome(
            False, f"{candidate.reference} and {present.reference} disagree on which way {rule.label} is better"
        )
    return _compare(rule, candidate, mine, present, theirs)


def _on(measured: Mapping[str | None, Metric], wanted: str | None) -> dict[str | None, Metric]:
    """Those on the data set that the rule names, if it names one."""
    return {dataset: metric for dataset, metric in measured.items() if wanted is None or is_dataset(dataset, wanted)}


def _compare(rule: Rule, candidate: Version, new: Metric, present: Version, old: Metric) -> Outcome:
    gain = Decimal(repr(new.value)) - Decimal(repr(old.value))
    gain = gain if new.higher_is_better else -gain
    wanted = Decimal(repr(rule.min_gain))
    figures = f"{rule.label} of {candidate.reference} is {new.value:g}, of {present.reference} {old.value:g}"
    change = "equal" if gain == 0 else f"{'better' if gain > 0 else 'worse'} by {float(abs(gain)):g}"
    if new.dataset != old.dataset:
        unnamed = candidate if new.dataset is None else present
        change += f" ({unnamed.reference} does not say on which data)"
    asked = f"at least {rule.min_gain:g} better" if wanted else "not worse"
    return Outcome(gain >= wanted, f"{figures}: {change}, and it must be {asked}")
