"""What the runs of several seeds say together: losses by rank and seed, their mean with its interval, and what seeds allow."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev

import numpy as np

from lorarack.adapters.studies.records import Losses, RunRecord
from lorarack.registry.value import Value

#: What each seed's runs of one study are: records in any order, of some ranks several.
Family = Sequence[RunRecord]


class Interval(Value):
    """A mean over seeds and the bounds within which it lies with 95 % confidence (Student's t)."""

    mean: float
    low: float
    high: float


def best_by_rank(runs: Family, *, weights: bool) -> dict[int, RunRecord]:
    """Of each rank the run with the lowest validation loss; ``weights``: only of runs whose weights are kept."""
    found: dict[int, RunRecord] = {}
    for run in runs:
        if (run.weights or not weights) and (run.rank not in found or run.eval_loss < found[run.rank].eval_loss):
            found[run.rank] = run
    return found


def losses_by_rank(families: Sequence[Family]) -> dict[int, tuple[float | None, ...]]:
    """The validation loss of each rank by seed; None where a seed did not come to that rank."""
    seeds = [best_by_rank(runs, weights=False) for runs in families]
    ranks = sorted({rank for found in seeds for rank in found})
    return {rank: tuple(found[rank].eval_loss if rank in found else None for found in seeds) for rank in ranks}


def averaged(families: Sequence[Family]) -> list[RunRecord]:
    """The first seed's runs of those ranks that every seed has, with the losses of each row averaged over the seeds."""
    first, *others = families
    seeds = [best_by_rank(runs, weights=False) for runs in others]
    made = []
    for rank, run in sorted(best_by_rank(first, weights=True).items()):
        if all(rank in found for found in seeds):
            sums = np.mean([run.losses.sums, *(found[rank].losses.sums for found in seeds)], axis=0)
            losses = Losses(sums=tuple(sums.tolist()), tokens=run.losses.tokens)
            fit = run.fit.model_copy(update={"eval_loss": losses.rows.mean})
            made.append(run.model_copy(update={"losses": losses, "fit": fit}))
    return made


def interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Mean and two-sided bounds of two values or more."""
    from scipy.stats import t

    mean = fmean(values)
    half = float(t.ppf((1 + confidence) / 2, len(values) - 1)) * stdev(values) / math.sqrt(len(values))
    return Interval(mean=mean, low=mean - half, high=mean + half)


def behind(losses: Mapping[int, Sequence[float | None]], rank: int, best: int) -> Interval:
    """By what share of its loss ``rank`` is behind ``best``, paired by seed; each bound holds with 95 % for itself."""
    pairs = zip(losses[rank], losses[best], strict=True)
    return interval([mine / its - 1 for mine, its in pairs if mine is not None and its is not None], confidence=0.9)
