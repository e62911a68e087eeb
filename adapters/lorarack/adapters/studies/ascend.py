"""``ascend``: ranks from low to high, each beginning where the last one ended, for as long as validation improves."""

from lorarack.adapters.studies.recommend import recommend
from lorarack.adapters.studies.records import RunRecord
from lorarack.adapters.studies.session import GENTLE, StudySession

#: So many ranks in a row may bring no improvement: the step to one alone can be hidden by the noise of the rows.
PATIENCE = 2


def ascend(session: StudySession) -> list[RunRecord]:
    """The lowest rank, the warm-started ones after it, and one trained from the beginning at the rank that they recommend.

    A rank improves on the lower ones when its loss is below theirs by more than its standard error on the same rows. One that no
    step made better than where it began is a copy of the lower rank in more columns: its weights are not kept, and the next one
    begins from the lower rank too.
    """
    lowest, *higher = session.plan.ranks
    last = best = session.train(f"trained-r{lowest}", lowest)
    runs, since = [best], 0
    for rank in higher:
        run = _warm(session, last, rank)
        gained = run.eval_loss < last.eval_loss
        runs.append(run if gained else run.model_copy(update={"weights": False}))
        last = run if gained else last
        change = best.losses.rows.change_since(run.losses.rows)
        best, since = (run, 0) if change.mean > change.error else (best, since + 1)
        if since == PATIENCE:
            break
    chosen = recommend(runs, session.plan.margin).run
    if chosen.source == "warm":
        runs.append(session.train(f"trained-r{chosen.rank}", chosen.rank))
    return sorted(runs, key=lambda run: (run.rank, run.source))


def _warm(session: StudySession, last: RunRecord, rank: int) -> RunRecord:
    """A rank grown from the ``last`` one, trained in rounds for as long as one brings more than the margin, at most a whole run.

    One round alone is too short to show what a rank is worth where the last one was still learning. A first round that does not
    come below the loss that it began with is made again at a lower rate, at which the others go on. A round that makes nothing
    better ends with what it began with, and the one before it counts.
    """
    number, rate, grown = 1, 1.0, session.grown(last, rank)
    run = session.train(f"warm-r{rank}", rank, "warm", session.round(rank, 1), grown, last)
    if run.eval_loss >= last.eval_loss:
        number, rate = 2, GENTLE
        run = session.train(f"warm-r{rank}-2", rank, "warm", session.round(rank, 2, rate), grown, last, before=run)
    while run.eval_loss < last.eval_loss and run.steps < session.steps():
        number += 1
        recipe = session.round(rank, number, rate)
        more = session.train(f"warm-r{rank}-{number}", rank, "warm", recipe, session.end(run), last, before=run)
        if more.eval_loss > (1 - session.plan.margin) * run.eval_loss:
            return min(run, more, key=lambda found: found.eval_loss)
        run = more
    return run
