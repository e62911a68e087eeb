"""The rule that says which version to keep: the cheapest that the best does not beat beyond noise."""

from collections.abc import Sequence

from lorarack.adapters.comparison.candidates import Candidate
from lorarack.adapters.comparison.paired import Difference, difference
from lorarack.adapters.comparison.words import points, span
from lorarack.registry.errors import UsageError
from lorarack.registry.values import Value


class Verdict(Value):
    """Which version to keep, and why.

    ``best`` scored most; ``difference`` is how much the best differs from ``against``: from the kept version, or, where
    the best is kept, from the dearest of those it was kept over. ``warnings`` are what a reader should not overlook.
    """

    keep: str
    best: str
    against: str
    difference: Difference
    reason: str
    warnings: tuple[str, ...] = ()


def decide(lines: Sequence[Candidate], *, binary: bool, confidence: float = 0.95) -> Verdict:
    """Which of the versions to keep.

    The best is the one with the highest score, among equals the cheapest. Cheapest first (rank, parameters, then
    validation loss and bytes), the first version is kept whose difference to the best has an interval with 0 in it;
    if there is none, the best. With more than two versions the intervals are made wider (Bonferroni), so that all of
    them together hold with the given confidence.

    Raises:
        UsageError: fewer than two versions.
    """
    versions = sorted((line for line in lines if not line.is_base), key=lambda line: line.cost)
    if len(versions) < 2:
        raise UsageError("A comparison needs two versions or more; name another reference.", code="nothing_to_compare")
    best = max(versions, key=lambda line: line.score.mean)  # the first, that is the cheapest, among equals
    others = [line for line in versions if line is not best]
    each = 1 - (1 - confidence) / len(others)
    gaps = {line.model: difference(line.scores, best.scores, binary=binary, confidence=each) for line in others}
    cheaper = versions[: versions.index(best)]
    kept = next((line for line in cheaper if not gaps[line.model].interval.excludes_zero), best)
    against = kept if kept is not best else (cheaper or others)[-1 if cheaper else 0]
    gap = gaps[against.model]
    reason = _reason(kept, best, against, gap, binary)
    warnings = _warnings(kept, lines, binary, confidence)
    return Verdict(
        keep=kept.model, best=best.model, against=against.model, difference=gap, reason=reason, warnings=warnings
    )


def _reason(kept: Candidate, best: Candidate, against: Candidate, gap: Difference, binary: bool) -> str:
    figures = f"{points(gap.interval.mean)} points, {span(gap.interval)}, p = {gap.p_value:.2g}"
    if kept is not best:
        return (
            f"Keep {kept.title}: {gap.rows} rows show no gain of {best.title} over it beyond noise ({figures}), "
            f"and {_saving(kept, best)}."
        )
    if against.cost < best.cost:
        return f"Keep {best.title}: {_gain(best, against, gap, binary)} than {against.title}, beyond noise ({figures})."
    verb = "scores no less than" if gap.interval.mean == 0 else "scores more than"
    return f"Keep {best.title}: the cheapest, and it {verb} {against.title} ({figures})."


def _saving(kept: Candidate, best: Candidate) -> str:
    """What speaks for the cheaper of two that score alike."""
    if kept.parameters < best.parameters:
        return f"it has {100 * kept.parameters / best.parameters:.0f} % of the parameters"
    if kept.validation_loss is not None and kept.cost[2] < best.cost[2]:
        theirs = "none recorded" if best.validation_loss is None else f"{best.validation_loss:.4f}"
        return f"its validation loss is the lower one ({kept.validation_loss:.4f} against {theirs})"
    return "it is no dearer"


def _gain(best: Candidate, against: Candidate, gap: Difference, binary: bool) -> str:
    if binary:
        right, before = round(sum(best.scores)), round(sum(against.scores))
        return f"it answers {right - before} more of {gap.rows} rows right ({right} against {before})"
    return f"it scores {100 * gap.interval.mean:.1f} points more on {gap.rows} rows"


def _warnings(kept: Candidate, lines: Sequence[Candidate], binary: bool, confidence: float) -> tuple[str, ...]:
    found = []
    for base in (line for line in lines if line.is_base):
        gain = difference(base.scores, kept.scores[:: base.stride], binary=binary, confidence=confidence).interval
        if gain.low <= 0:
            found.append(
                f"Nothing here shows that {kept.title} beats the bare base ({points(gain.mean)} points, {span(gain)})."
            )
    cut = [f"{line.cut_off} of {line.title}" for line in lines if line.cut_off and not line.is_base]
    if cut:
        found.append(f"Answers were cut off by the limit of tokens: {', '.join(cut)}; raise --max-tokens to be fair.")
    return tuple(found)
