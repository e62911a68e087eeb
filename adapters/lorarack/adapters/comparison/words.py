"""Numbers and verdicts formatted for the terminal."""

from lorarack.adapters.comparison.verdict import AgainstBest, BaseScore, Quantiles, Speed, Verdict, VersionScore


def sentence(verdict: Verdict) -> str:
    """The verdict in one sentence, with its figures."""
    subject, best = verdict.of(verdict.subject), verdict.of(verdict.best)
    if verdict.recommended is None:
        return _undecided(verdict, subject, best)
    if verdict.answer == "worse":
        cheapest = verdict.versions[0]
        return (
            f"{best.reference} is recommended: {cheapest.reference} is worse by more than {margin_text(verdict)} "
            f"({_figures(verdict, cheapest.against_best)})."
        )
    if subject is not best:
        return (
            f"{subject.reference} is recommended: it is not worse than {best.reference} by {margin_text(verdict)} "
            f"({_figures(verdict, subject.against_best)}, p = {subject.against_best.p:.2g}){_saving(subject, best)}."
        )
    why = "the cheapest, and the best here" if best.cost is not None else "the best here"
    return (
        f"{best.reference} is recommended: {why}, and no other is better by {margin_text(verdict)} "
        f"(95 % bound {points(best.against_best.low, verdict)}, p = {best.against_best.p:.2g})."
    )


def _undecided(verdict: Verdict, subject: VersionScore, best: VersionScore) -> str:
    unit = " %" if verdict.losses else "-point"
    needed = f"about {verdict.rows_needed:,} rows would decide a {100 * verdict.margin:.4g}{unit} margin"
    if subject is best:
        return (
            f"Not enough rows to tell: {best.reference} has the best score, but another may be better by "
            f"{points(-subject.against_best.low, verdict)} (95 % bound); {needed}."
        )
    gap = subject.against_best
    low, high = points(-gap.high, verdict), points(-gap.low, verdict)
    return (
        f"Not enough rows to tell: {points(-gap.difference, verdict)}{_unit(verdict)} for {best.reference} over "
        f"{subject.reference} (95 % bounds {low} to {high}); {needed}."
    )


def _figures(verdict: Verdict, gap: AgainstBest) -> str:
    bounds = f"95 % bounds {points(gap.low, verdict)} to {points(gap.high, verdict)}"
    return f"{points(gap.difference, verdict)}{_unit(verdict)}, {bounds}"


def points(difference: float, verdict: Verdict) -> str:
    """A difference with its sign: in points (``+12.5``), or for losses in per cent (``+1.2 %``)."""
    return f"{100 * difference:+.1f}{' %' if verdict.losses else ''}"


def margin_text(verdict: Verdict) -> str:
    """``5 points``, or ``1 % of the loss``."""
    number = f"{100 * verdict.margin:.4g}"
    if verdict.losses:
        return f"{number} % of the loss"
    return "1 point" if number == "1" else f"{number} points"


def score_text(scored: VersionScore | BaseScore, verdict: Verdict) -> str:
    """``87.5 % (79–93)``, or ``0.412 (0.401–0.424)`` for a loss."""
    if verdict.losses:
        return f"{scored.score:.4g} ({scored.low:.4g}–{scored.high:.4g})"
    return f"{100 * scored.score:.1f} % ({100 * scored.low:.0f}–{100 * scored.high:.0f})"


def difference_text(version: VersionScore, verdict: Verdict) -> str:
    """``-7.3 (-15.3 to +1.0)``; nothing for the best."""
    gap = version.against_best
    if version.reference == verdict.best:
        return "–"
    return f"{points(gap.difference, verdict)} ({points(gap.low, verdict)} to {points(gap.high, verdict)})"


def first_token_text(speed: Speed | None) -> str:
    """``312 (540)``: milliseconds to the first token, the median and the 95th percentile."""
    return _milliseconds(speed.ttft if speed else None)


def next_token_text(speed: Speed | None) -> str:
    """``45 (61)``: likewise from one token to the next."""
    return _milliseconds(speed.itl if speed else None)


def _milliseconds(found: Quantiles | None) -> str:
    return "–" if found is None else f"{1000 * found.median:.0f} ({1000 * found.p95:.0f})"


def _unit(verdict: Verdict) -> str:
    return "" if verdict.losses else " points"


def _saving(cheap: VersionScore, best: VersionScore) -> str:
    """What the cheaper of two saves."""
    if cheap.cost is None or best.cost is None or not cheap.cost < best.cost:
        return ""
    what = "has {} of the parameters" if cheap.cost == cheap.parameters else "costs {}"
    return ", and " + what.format(f"{100 * cheap.cost / best.cost:.3g} %")
