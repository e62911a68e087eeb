"""``ascend``: ranks from low to high, each beginning where the last one ended, for as long as validation improves."""

from lorarack.adapters.studies.recommend import recommend
from lorarack.adapters.studies.records import RunRecord
from lorarack.adapters.studies.session import StudySession

#: A further round of a warm-started rank must lower the loss by so much of the margin.
WORTH = 0.5


def ascend(session: StudySession) -> list[RunRecord]:
    """The lowest rank, the warm-started ones after it, and one trained from the beginning at the rank that they recommend.

    A step up counts as an improvement when the loss falls by more than its standard error on the same rows.
    """
    lowest, *higher = session.plan.ranks
    runs = [session.train(f"trained-r{lowest}", lowest)]
    for rank in higher:
        runs.append(_warm(session, runs[-1], rank))
        change = runs[-2].losses.rows.change_since(runs[-1].losses.rows)
        if change.mean <= change.error:
            break
    chosen = recommend(runs, session.plan.margin).run
    if chosen.source == "warm":
        runs.append(session.train(f"trained-r{chosen.rank}", chosen.rank))
    return sorted(runs, key=lambda run: (run.rank, run.source))


def _warm(session: StudySession, last: RunRecord, rank: int) -> RunRecord:
    """A rank grown from the ``last`` one, trained in rounds for as long as one brings half of the margin, at most a whole run.

    One round alone is too short to show what a rank is worth where the last one was still learning.
    """
    short = session.shorter(session.plan.share)
    run = session.train(f"warm-r{rank}", rank, "warm", short, session.grown(last, rank), last)
    rounds = 1
    while run.steps < session.steps():
        rounds += 1
        more = session.train(f"warm-r{rank}-{rounds}", rank, "warm", short, session.weights(run), last, before=run)
        if more.eval_loss > (1 - WORTH * session.plan.margin) * run.eval_loss:
            return min(run, more, key=lambda found: found.eval_loss)
        run = more
    return run
