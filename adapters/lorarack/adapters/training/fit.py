"""Whether a run was too short, about right, or went on until it learned its rows by heart."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field, ValidationError

from lorarack.adapters.training.row_losses import Estimate, RowLosses
from lorarack.registry.value import Value
from lorarack.registry.values import Metric, Version

Verdict = Literal["underfit", "good", "overfit"]

#: A change counts when it is larger than this many of its standard errors …
ERRORS = 2.0
#: … and than this share of the loss: the margin within which two losses are as good as equal.
MARGIN = 0.01
#: How fast the loss must still fall at the end, beside its mean speed over the run, for more training to be worth it.
STILL_FALLING = 0.5


@dataclass(frozen=True, slots=True)
class Validation:
    """What was measured after ``step`` (0: of the base alone): a fixed slice of the training rows, and the validation rows."""

    step: int
    train: RowLosses
    validation: RowLosses


class Fit(Value):
    """How a run went; ``gap`` is validation loss minus training loss, both measured in the same way at ``best_step``."""

    verdict: Verdict
    reason: str
    best_step: int
    train_loss: float
    eval_loss: float
    base_loss: float = Field(description="validation loss of the base alone")
    gap: float
    gap_error: float = Field(description="standard error of the gap")
    perplexity: float


def judge(points: Sequence[Validation], spent: Callable[[int], float]) -> Fit:
    """Judge a run.

    Args:
        points: what was measured, by step; the first is of the base, and at least one follows.
        spent: the share of the whole run's learning rate that had been used up after a step.
    """
    start, *trained = points
    best = min(trained, key=lambda point: point.validation.mean)
    verdict, reason = _verdict(start, trained, spent)
    losses = best.train.estimate, best.validation.estimate
    return Fit(
        verdict=verdict,
        reason=reason,
        best_step=best.step,
        train_loss=best.train.mean,
        eval_loss=best.validation.mean,
        base_loss=start.validation.mean,
        gap=losses[1].mean - losses[0].mean,
        gap_error=math.hypot(losses[0].error, losses[1].error),
        perplexity=math.exp(min(best.validation.mean, 700.0)),
    )


def _verdict(start: Validation, trained: Sequence[Validation], spent: Callable[[int], float]) -> tuple[Verdict, str]:
    points = [start, *trained]
    last = trained[-1]
    best = min(points, key=lambda point: point.validation.mean)
    rise = last.validation.change_since(best.validation)
    learned = last.train.change_since(best.train).mean < 0
    if learned and _counts(rise, best):
        return "overfit", (
            f"overfit from step {best.step}: the validation loss rose from {best.validation.mean:.4f} to "
            f"{last.validation.mean:.4f} by step {last.step}, while the loss on training rows fell from "
            f"{best.train.mean:.4f} to {last.train.mean:.4f}"
        )
    if not _counts(start.validation.change_since(best.validation), start):
        if _counts(start.train.change_since(last.train), start):
            return "overfit", (
                f"overfit from step {best.step}: the validation loss has not fallen from the base's "
                f"{start.validation.mean:.4f} beyond noise, while the loss on training rows fell from "
                f"{start.train.mean:.4f} to {last.train.mean:.4f}"
            )
        return (
            "underfit",
            f"underfit: the validation loss has not fallen from the base's {start.validation.mean:.4f} beyond noise",
        )
    return _ending(start, best, points, spent)


def _ending(
    start: Validation, best: Validation, points: Sequence[Validation], spent: Callable[[int], float]
) -> tuple[Verdict, str]:
    """Whether the loss still fell at the end: more than noise, and not much slower than over the whole run."""
    last = points[-1]
    if len(points) < 3:
        return (
            "underfit",
            "underfit: one validation cannot show that the loss has levelled off; train longer, or set eval_every lower",
        )
    before = _middle(points, spent)
    late = before.validation.change_since(last.validation)
    speed = late.mean / (spent(last.step) - spent(before.step))
    mean_speed = (start.validation.mean - last.validation.mean) / spent(last.step)
    if best is last and _counts(late, last) and speed > STILL_FALLING * mean_speed:
        return "underfit", (
            f"underfit: the validation loss still fell from {before.validation.mean:.4f} at step {before.step} to "
            f"{last.validation.mean:.4f} at step {last.step}, the last one; train longer or with a higher rate"
        )
    return (
        "good",
        f"good: the validation loss is lowest at step {best.step} ({best.validation.mean:.4f}) and has levelled off",
    )


def _middle(points: Sequence[Validation], spent: Callable[[int], float]) -> Validation:
    """The point between the first and the last that is closest to where half of the run's learning rate was used up."""
    half = spent(points[-1].step) / 2
    return min(points[1:-1], key=lambda point: abs(spent(point.step) - half))


def _counts(change: Estimate, beside: Validation) -> bool:
    return change.mean > ERRORS * change.error and change.mean > MARGIN * beside.validation.mean


def final_metrics(fit: Fit, train_digest: str, validation_digest: str) -> tuple[Metric, ...]:
    """What is kept with a version, of its weights and not of a step."""
    return (
        Metric(name="loss", split="train", value=fit.train_loss, dataset=train_digest),
        Metric(name="loss", split="validation", value=fit.eval_loss, dataset=validation_digest),
        Metric(name="perplexity", split="validation", value=fit.perplexity, dataset=validation_digest),
        Metric(name="gap", split="validation", value=fit.gap, dataset=validation_digest),
    )


def fit_of(version: Version) -> Fit | None:
    """How the run that made a version went; None where its provenance does not say."""
    found = version.provenance.recipe.get("fit") if version.provenance else None
    try:
        return Fit.model_validate(found) if isinstance(found, dict) else None
    except ValidationError:  # written by something else
        return None
