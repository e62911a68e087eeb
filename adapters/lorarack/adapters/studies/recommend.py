"""Which rank: the margin rule of ``compare``, on the validation loss of each row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lorarack.adapters.comparison.margin_rule import judge
from lorarack.adapters.comparison.score_table import ScoreTable
from lorarack.adapters.comparison.verdict import AgainstBest
from lorarack.adapters.studies.records import RunRecord
from lorarack.adapters.studies.seeds import Interval, averaged, behind, best_by_rank, losses_by_rank


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A run and why."""

    run: RunRecord
    reason: str


def recommend(runs: Sequence[RunRecord], margin: float, others: Sequence[Sequence[RunRecord]] = ()) -> Recommendation:
    """The lowest rank that is shown to be not worse than the best by the margin; where none is, the best.

    Losses are paired by row and weighted by tokens, as the validation loss is. Of several runs of one rank the best one counts.
    With several seeds the rows' losses are means over seeds, and a rank must also be not worse over seeds: the upper bound (95 %,
    Student's t) of how far it is behind the best one, paired by seed, lies within the margin.

    Args:
        runs: those with weights, all measured on the same rows.
        margin: the share by which a loss may be higher.
        others: the same of further seeds.
    """
    own = best_by_rank(runs, weights=True)
    entries = averaged([runs, *others]) if others else [own[rank] for rank in sorted(own)]
    best = min(entries, key=lambda run: run.eval_loss)
    if len(entries) == 1:
        return Recommendation(own[best.rank], f"rank {best.rank} is the only one of which there are weights")
    losses = losses_by_rank([runs, *others])
    over_seeds = (
        {run.rank: behind(losses, run.rank, best.rank) for run in entries if run.rank != best.rank} if others else {}
    )
    table = ScoreTable(tuple(run.key for run in entries), np.array([run.losses.sums for run in entries]).T, losses=True)
    verdict = judge(table, margin, {run.key: float(run.rank) for run in entries})
    against = {
        run.rank: _with_seeds(verdict.of(run.key).against_best, over_seeds.get(run.rank), margin) for run in entries
    }
    shown = [run for run in entries if against[run.rank].answer == "not_worse"]
    chosen = shown[0] if shown else best
    below = [run for run in entries if run.rank < chosen.rank]
    parts = [_against(chosen, best, against[chosen.rank], margin, len(best.losses.sums))]
    if chosen.rank in over_seeds:
        parts.append(f"over {len(others) + 1} seeds {_bounds(over_seeds[chosen.rank])}")
    if below:
        parts.append(_lower(below, against))
    held_back = [rank for rank in over_seeds if against[rank].answer != verdict.of(own[rank].key).against_best.answer]
    if held_back:
        named = ", ".join(map(str, sorted(held_back)))
        parts.append(f"of rank {named} the {len(others) + 1} seeds say less than the rows: more seeds would decide")
    if verdict.rows_needed and any(against[run.rank].answer == "undecided" for run in (*below, chosen)):
        parts.append(f"about {verdict.rows_needed} validation rows would decide")
    return Recommendation(own[chosen.rank], "; ".join(parts))


def _with_seeds(found: AgainstBest, seeds: Interval | None, margin: float) -> AgainstBest:
    """What rows say, held back where seeds do not agree."""
    if seeds is None or found.answer == "undecided":
        return found
    agrees = seeds.high <= margin if found.answer == "not_worse" else seeds.low > margin
    return found if agrees else found.model_copy(update={"answer": "undecided"})


def _bounds(found: Interval) -> str:
    return f"{found.mean:+.2%}, at most {found.high:+.2%} (95 %)"


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


def _lower(below: Sequence[RunRecord], against: Mapping[int, AgainstBest]) -> str:
    worse = [str(run.rank) for run in below if against[run.rank].answer == "worse"]
    unclear = [str(run.rank) for run in below if against[run.rank].answer == "undecided"]
    parts = [f"rank {', '.join(worse)} is worse"] if worse else []
    return " and ".join([*parts, *([f"of rank {', '.join(unclear)} it is undecided"] if unclear else [])])
