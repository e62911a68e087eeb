"""What a study says."""

from pathlib import Path

from pydantic import Field

from lorarack.adapters.studies.plan import Strategy
from lorarack.adapters.studies.records import RunRecord, Source
from lorarack.adapters.training.fit import Verdict
from lorarack.registry.value import Value
from lorarack.registry.values import Version


class StudiedRank(Value):
    """One rank. ``reference`` is None where it was only looked at."""

    rank: int
    reference: str | None
    source: Source
    train_loss: float
    eval_loss: float
    gap: float
    fit: Verdict
    best_step: int
    seconds: float


class Recommended(Value):
    """The answer."""

    reference: str
    rank: int
    reason: str


class StudyReport(Value):
    """A finished study, as ``--json`` prints it."""

    study: str
    strategy: Strategy
    margin: float
    recommended: Recommended
    ranks: tuple[StudiedRank, ...]
    folder: Path = Field(exclude=True)
    base_loss: float = Field(exclude=True)
    versions: tuple[Version, ...] = Field(default=(), exclude=True, repr=False)

    def version(self, reference: str | None) -> Version | None:
        """The published version of that reference."""
        return next((version for version in self.versions if version.reference == reference), None)


def studied(run: RunRecord, version: Version | None) -> StudiedRank:
    """A run as a line of the report."""
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
    )
