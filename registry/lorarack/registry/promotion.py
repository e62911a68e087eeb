"""Whether a version may take another's place under a rule: pure arithmetic and the sentence that says how it came out."""

from dataclasses import dataclass
from decimal import Decimal

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
    new = candidate.metric(name, split)
    if new is None:
        return Outcome(False, f"{candidate.reference} has no {rule.label}")
    if present is None:
        return Outcome(True, f"{candidate.reference} has {rule.label} {new.value:g}, and nothing stood there before")
    old = present.metric(name, split)
    if old is None:
        return Outcome(False, f"{present.reference}, which stands there now, has no {rule.label} to compare with")
    if new.higher_is_better is not old.higher_is_better:
        return Outcome(
            False, f"{candidate.reference} and {present.reference} disagree on which way {rule.label} is better"
        )
    if new.dataset and old.dataset and new.dataset != old.dataset:
        return Outcome(
            False, f"{rule.label} of {candidate.reference} and {present.reference} was measured on different data"
        )
    return _compare(rule, candidate, new, present, old)


def _compare(rule: Rule, candidate: Version, new: Metric, present: Version, old: Metric) -> Outcome:
    gain = Decimal(repr(new.value)) - Decimal(repr(old.value))
    gain = gain if new.higher_is_better else -gain
    wanted = Decimal(repr(rule.min_gain))
    figures = f"{rule.label} of {candidate.reference} is {new.value:g}, of {present.reference} {old.value:g}"
    change = "equal" if gain == 0 else f"{'better' if gain > 0 else 'worse'} by {float(abs(gain)):g}"
    asked = f"at least {rule.min_gain:g} better" if wanted else "not worse"
    return Outcome(gain >= wanted, f"{figures}: {change}, and it must be {asked}")
