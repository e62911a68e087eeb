"""What a study says."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from lorarack.adapters.comparison.verdict import Comparison, Verdict
from lorarack.adapters.recipe import Recipe
from lorarack.adapters.studies.plan import Strategy, StudyPlan
from lorarack.adapters.studies.records import RunRecord, Source
from lorarack.adapters.studies.seeds import Interval, interval
from lorarack.adapters.training.fit import Verdict as FitVerdict
from lorarack.adapters.training.learning_rate import RateProbe
from lorarack.registry.value import Value
from lorarack.registry.values import Version


class StudiedRank(Value):
    """One rank. ``reference`` is None where it was only looked at, or brought nothing."""

    rank: int
    reference: str | None
    source: Source
    train_loss: float
    eval_loss: float
    gap: float
    fit: FitVerdict
    best_step: int
    seconds: float
    learning_rate: float
    seed_losses: tuple[float | None, ...] = Field(description="eval_loss by seed; None where a seed has no such rank")
    over_seeds: Interval | None = Field(description="mean of several seeds, where each of them has the rank")


class StudiedScore(Value):
    """What a server's answers say of the published versions, by the rule of ``compare``."""

    score: str
    verdict: Verdict
    comparison: Comparison = Field(exclude=True, repr=False)


class Recommended(Value):
    """The answer."""

    reference: str
    rank: int
    reason: str


class StudiedRates(Value):
    """How the learning rate of each rank came about."""

    source: Literal["given", "probed", "grid"]
    reason: str
    probe: RateProbe | None


class StudyReport(Value):
    """A finished study, as ``--json`` prints it."""

    study: str
    strategy: Strategy
    margin: float
    recommended: Recommended
    learning_rates: StudiedRates
    seeds: tuple[int, ...] = Field(description="the first one's family is published")
    ranks: tuple[StudiedRank, ...]
    scores: tuple[StudiedScore, ...] = Field(default=(), description="of held-out rows, where scores were asked for")
    folder: Path = Field(exclude=True)
    base_loss: float = Field(exclude=True)
    versions: tuple[Version, ...] = Field(default=(), exclude=True, repr=False)

    def version(self, reference: str | None) -> Version | None:
        """The published version of that reference."""
        return next((version for version in self.versions if version.reference == reference), None)


def studied_rates(plan: StudyPlan, recipe: Recipe, probe: RateProbe | None) -> StudiedRates:
    """What is to be said of the learning rates: no rank is judged at one rate without saying so."""
    chosen = f"{probe.reason}; " if probe else ""
    if plan.strategy == "grid" and len(plan.rates) > 1:
        said = f"{chosen}each rank is held by its best of {', '.join(f'{rate:.2g}' for rate in plan.rates)}"
        return StudiedRates(source="grid", reason=said, probe=probe)
    if probe:
        return StudiedRates(source="probed", reason=f"{chosen}every rank is trained at it", probe=probe)
    rate = plan.rates[0] if plan.rates else recipe.peak_rate
    said = f"every rank is trained at the given {rate:g}; whether another rate suits one of them better was not tried"
    return StudiedRates(source="given", reason=said, probe=None)


def studied(run: RunRecord, version: Version | None, losses: tuple[float | None, ...]) -> StudiedRank:
    """A run as a line of the report, with the losses of its rank by seed."""
    known = [loss for loss in losses if loss is not None]
    return StudiedRank(
        rank=run.rank,
        reference=version.reference if version else None,
        source=run.source,
        train_loss=run.fit.train_loss,
        eval_loss=run.fit.eval_loss,
        gap=run.fit.gap,
        fit=run.fit.verdict,
        best_step=run.fit.best_step,
        seconds=run.seconds,
        learning_rate=run.rate,
        seed_losses=losses,
        over_seeds=interval(known) if len(known) == len(losses) > 1 else None,
    )
