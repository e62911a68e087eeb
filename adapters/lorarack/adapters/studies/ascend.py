"""``ascend``: ranks from low to high, each beginning where the last one ended, for as long as validation improves."""

from lorarack.adapters.studies.recommend import recommend
from lorarack.adapters.studies.records import RunRecord
from lorarack.adapters.studies.session import StudySession


def ascend(session: StudySession) -> list[RunRecord]:
    """The lowest rank, the warm-started ones after it, and one trained from the beginning at the rank that they recommend.

    A step up counts as an improvement when the loss falls by more than its standard error on the same rows.
    """
    lowest, *higher = session.plan.ranks
    runs = [session.train(f"trained-r{lowest}", lowest)]
    for rank in higher:
        last = runs[-1]
        runs.append(
            session.train(
                f"warm-r{rank}", rank, "warm", session.shorter(session.plan.share), session.grown(last, rank), last
            )
        )
        change = last.losses.rows.change_since(runs[-1].losses.rows)
        if change.mean <= change.error:
            break
    chosen = recommend(runs, session.plan.margin).run
    if chosen.source == "warm":
        runs.append(session.train(f"trained-r{chosen.rank}", chosen.rank))
    return sorted(runs, key=lambda run: (run.rank, run.source))
