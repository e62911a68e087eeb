"""Ranks below a trained one, measured by truncation: no weights are kept, and no step is made.

Candidates and rank 1 are measured on all rows. The others, which show where the knee is, are measured on a sample of rows, and
their losses are scaled to all rows as the losses of those beside them are, which are known on both.
"""

import math
import time
from bisect import bisect_left
from collections.abc import Mapping

import torch
from peft import set_peft_model_state_dict

from lorarack.adapters.ranks.truncate import Truncation
from lorarack.adapters.ranks.weights import Factors, LoraWeights, tensors_of
from lorarack.adapters.studies.records import RunRecord, losses_of
from lorarack.adapters.studies.session import StudySession
from lorarack.adapters.training.fit import Fit, Validation
from lorarack.adapters.training.row_losses import RowLosses

#: Validation rows and training rows on which a rank is measured that is no candidate.
SAMPLE, TRAIN_SAMPLE = 16, 8


def look(session: StudySession, top: RunRecord) -> list[RunRecord]:
    """The ranks below ``top`` that the plan has, by rank."""
    folder, plan = session.folder, session.plan
    found = {rank: record for rank in plan.looked_at() if (record := folder.find(_key(rank)))}
    on_all_rows = {*plan.ranks, 1}
    # These first: the other ranks' losses are scaled as theirs are.
    wanted = sorted(set(plan.looked_at()) - set(found), key=lambda rank: (rank not in on_all_rows, -rank))
    if wanted:
        truncation = Truncation(session.weights(top))
        whole = truncation.at(top.rank)
        model = session.base.with_adapter(session.recipe, top.rank)
        set_peft_model_state_dict(model, tensors_of(whole.factors))
        for rank in wanted:
            session.progress.note(f"looking at rank {rank}")
            started = time.monotonic()
            set_peft_model_state_dict(model, tensors_of(_first(whole, rank)))
            if rank in on_all_rows:
                measured = session.base.measure(model, top.fit.best_step)
                fit = looked_fit(top.fit, measured)
            else:
                measured = session.base.sample(SAMPLE, TRAIN_SAMPLE).measure(model, top.fit.best_step)
                beside = {known: found[known] for known in found if known in on_all_rows}
                fit = looked_fit(top.fit, measured, rank, {**beside, top.rank: top})
            folder.workspace(_key(rank))
            found[rank] = folder.keep(
                RunRecord(
                    key=_key(rank),
                    rank=rank,
                    source="truncated",
                    fit=fit,
                    losses=losses_of(measured.validation),
                    train_losses=losses_of(measured.train),
                    seconds=round(time.monotonic() - started, 1),
                    rate=top.rate,
                    parent=top.key,
                    weights=False,
                    kept_energy=round(truncation.energy(rank), 6),
                )
            )
        session.base.take_off(model)
    return [found[rank] for rank in sorted(found)]


def looked_fit(top: Fit, measured: Validation, rank: int = 0, beside: Mapping[int, RunRecord] | None = None) -> Fit:
    """What is said of a truncation.

    Args:
        top: of the run that was truncated.
        measured: on all rows, or, with ``beside``, on a sample of them.
        rank: of the truncation.
        beside: other ranks, known on all rows.
    """
    train_loss, eval_loss = measured.train.mean, measured.validation.mean
    if beside:
        train = {known: record.train_losses.rows for known, record in beside.items()}
        validation = {known: record.losses.rows for known, record in beside.items()}
        train_loss *= _scale(rank, train, TRAIN_SAMPLE)
        eval_loss *= _scale(rank, validation, SAMPLE)
    return top.model_copy(
        update={
            "train_loss": train_loss,
            "eval_loss": eval_loss,
            "gap": eval_loss - train_loss,
            "gap_error": math.hypot(measured.train.estimate.error, measured.validation.estimate.error),
            "perplexity": math.exp(min(eval_loss, 700.0)),
        }
    )


def _scale(rank: int, beside: Mapping[int, RowLosses], sampled: int) -> float:
    """The loss on all rows ÷ that on a sample of them, at ``rank``.

    It lies on a line between the known ranks below and above, over the logarithm of the rank.
    """
    ranks = sorted(beside)
    place = bisect_left(ranks, rank)
    below, above = ranks[max(place - 1, 0)], ranks[min(place, len(ranks) - 1)]
    low, high = (_ratio(beside[known], sampled) for known in (below, above))
    share = math.log(rank / below) / math.log(above / below) if below < rank < above else 0.0
    return low + share * (high - low)


def _ratio(losses: RowLosses, sampled: int) -> float:
    """Of one rank. A sample of loss 0 tells nothing."""
    sample = losses.sample(sampled).mean
    return losses.mean / sample if sample > 0 else 1.0


def _key(rank: int) -> str:
    return f"looked-r{rank}"


def _first(whole: LoraWeights, rank: int) -> dict[str, Factors]:
    """Rank ``rank`` as the whole one with the rows of A and the columns of B beyond it at zero."""
    return {
        module: Factors(_zeroed(found.a, rank, 0), _zeroed(found.b, rank, 1), found.end)
        for module, found in whole.factors.items()
    }


def _zeroed(tensor: torch.Tensor, rank: int, axis: int) -> torch.Tensor:
    cut = tensor.clone()
    cut.narrow(axis, rank, cut.shape[axis] - rank).zero_()
    return cut
