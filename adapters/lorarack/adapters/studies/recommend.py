"""Which rank: the margin rule of ``compare``, on the validation loss of each row."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lorarack.adapters.comparison.margin_rule import judge
from lorarack.adapters.comparison.score_table import ScoreTable
from lorarack.adapters.comparison.verdict import AgainstBest
from lorarack.adapters.studies.records import RunRecord


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A run and why."""

    run: RunRecord
    reason: str


def recommend(runs: Sequence[RunRecord], margin: float) -> Recommendation:
    """The lowest rank that is shown to be not worse than the best by the margin; where none is, the best.

    Losses are paired by row and weighted by tokens, as the validation loss is. Of several runs of one rank the best one counts.

    Args:
        runs: those with weights, all measured on the same rows.
        margin: the share by which a loss may be higher.
    """
    ranked: dict[int, RunRecord] = {}
    for run in runs:
        if run.weights and (run.rank not in ranked or run.eval_loss < ranked[run.rank].eval_loss):
            ranked[run.rank] = run
    entries = [ranked[rank] for rank in sorted(ranked)]
    best = min(entries, key=lambda run: run.eval_loss)
    rows = len(best.losses.sums)
    if len(entries) == 1:
        return Recommendation(best, f"rank {best.rank} is the only one of which there are weights")
    names = [run.key for run in entries]
    table = ScoreTable(tuple(names), np.array([run.losses.sums for run in entries]).T, losses=True)
    verdict = judge(table, margin, {run.key: float(run.rank) for run in entries})
    against = {name: verdict.of(name).against_best for name in names}
    shown = [run for run in entries if against[run.key].answer == "not_worse"]
    chosen = shown[0] if shown else best
    below = [run for run in entries if run.rank < chosen.rank]
    parts = [_against(chosen, best, against[chosen.key], margin, rows)]
    if below:
        parts.append(_lower(below, against))
    if verdict.rows_needed and any(against[run.key].answer == "undecided" for run in (*below, chosen)):
        parts.append(f"about {verdict.rows_needed} validation rows would decide")
    return Recommendation(chosen, "; ".join(parts))


def _against(chosen: RunRecord, best: RunRecord, found: AgainstBest, margin: float, rows: int) -> str:
    if found.answer != "not_worse":
        return (
            f"rank {chosen.rank} has the lowest validation loss ({chosen.eval_loss:.4f}), but {rows} rows do not show that it is "
            f"within {margin:.3g} of every other one's"
        )
    if chosen is best:
        return f"rank {chosen.rank} has the lowest validation loss ({chosen.eval_loss:.4f})"
    return (
        f"rank {chosen.rank} is not worse by {margin:.1%} than rank {best.rank}, which has the lowest validation loss: "
        f"{chosen.eval_loss:.4f} against {best.eval_loss:.4f}, {-found.difference:+.2%}, at most {-found.low:+.2%} "
        f"(95 %) on {rows} rows"
    )


def _lower(below: Sequence[RunRecord], against: dict[str, AgainstBest]) -> str:
    worse = [str(run.rank) for run in below if against[run.key].answer == "worse"]
    unclear = [str(run.rank) for run in below if against[run.key].answer == "undecided"]
    parts = [f"rank {', '.join(worse)} is worse"] if worse else []
    return " and ".join([*parts, *([f"of rank {', '.join(unclear)} it is undecided"] if unclear else [])])
