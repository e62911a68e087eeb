"""``ladder``: train once at the top rank, look at every lower one by truncation, train further only near the knee."""

from lorarack.adapters.studies.look import look
from lorarack.adapters.studies.records import RunRecord
from lorarack.adapters.studies.session import GENTLE, StudySession

#: A rank that lost no more than this share of the best candidate's validation loss is good as it is.
LOST = 0.01
#: A rank that lost more than this is not near the knee; recovering it would be training it anew.
NEAR = 0.5


def ladder(session: StudySession) -> list[RunRecord]:
    """All ranks that were looked at, and for some of them the version that may be published.

    From the knee down, ranks are recovered one after the other, until one stays worse than the best candidate by more than the
    margin. Ranks above the best one have learned rows by heart; they stay as they are.
    """
    top = session.train(f"trained-r{session.plan.top}", session.plan.top)
    looked = {run.rank: run for run in look(session, top)}
    found: dict[int, RunRecord] = {**looked, top.rank: top}
    candidates = [looked[rank] for rank in session.plan.ranks if rank < top.rank]
    best = min((*candidates, top), key=lambda run: run.eval_loss)
    for rank in sorted((run.rank for run in candidates), reverse=True):
        lost = looked[rank].eval_loss / best.eval_loss - 1
        if lost <= LOST or rank > best.rank:
            found[rank] = session.truncated(looked[rank], top)
            continue
        if lost > NEAR:
            break
        found[rank] = recovered(session, looked[rank], top)
        if found[rank].eval_loss / best.eval_loss - 1 > session.plan.margin:
            break
    return [found[rank] for rank in sorted(found)]


def recovered(session: StudySession, looked: RunRecord, top: RunRecord) -> RunRecord:
    """A rank trained further from the truncation; the truncation itself where that gains no more than the standard error."""
    rank = looked.rank
    short = session.shorter(session.plan.share, GENTLE)
    run = session.train(f"recovered-r{rank}", rank, "recovered", short, session.cut(top, looked), top)
    change = looked.losses.rows.change_since(run.losses.rows)
    return run if change.mean > change.error else session.truncated(looked, top)
