"""What a study has found so far, in its folder: a finished run is never made again."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from lorarack.adapters.training.fit import Fit, Validation
from lorarack.adapters.training.learning_rate import RateProbe
from lorarack.adapters.training.row_losses import RowLosses
from lorarack.registry.disk import disk_errors, lock_file
from lorarack.registry.errors import Conflict, StoreError
from lorarack.registry.reference_logprobs import ReferenceLogprobs
from lorarack.registry.value import Value
from lorarack.registry.values import Metric

Source = Literal["trained", "truncated", "recovered", "warm"]
_RECORD, _LOCK = "run.json", "lock"
#: Where a study keeps how its learning rate was chosen.
PROBE_FILE = "learning_rate.json"


class Losses(Value):
    """Losses by row, as they are stored."""

    sums: tuple[float, ...]
    tokens: tuple[int, ...]

    @property
    def rows(self) -> RowLosses:
        """For calculating."""
        return RowLosses(self.sums, self.tokens)


class RunRecord(Value):
    """One rank of a study: how it came about and what was measured of it. ``weights`` says whether its weights are kept."""

    key: str = Field(pattern=r"^[a-z0-9.-]+$")
    rank: int
    source: Source
    fit: Fit
    losses: Losses = Field(repr=False, description="on the validation rows")
    train_losses: Losses = Field(repr=False, description="on the slice of training rows")
    seconds: float
    rate: float
    steps: int = 0
    parent: str | None = None
    weights: bool = True
    kept_energy: float | None = None
    given_up: bool = False
    metrics: tuple[Metric, ...] = Field(default=(), repr=False)
    reference: ReferenceLogprobs | None = Field(default=None, repr=False)

    @property
    def measured(self) -> Validation:
        """As what another run begins with."""
        return Validation(0, self.train_losses.rows, self.losses.rows)

    @property
    def eval_loss(self) -> float:
        """The validation loss."""
        return self.fit.eval_loss


def losses_of(rows: RowLosses) -> Losses:
    """As they are stored."""
    return Losses(sums=rows.sums, tokens=rows.tokens)


class StudyFolder:
    """A folder with one folder for each finished run, which appears whole or not at all."""

    def __init__(self, place: Path) -> None:
        self.place = place

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Work on the study.

        Raises:
            Conflict: another process does.
            StoreError: the folder cannot be made.
        """
        with disk_errors():
            self.place.mkdir(parents=True, exist_ok=True)
        said = f"Another process works on the study in {str(self.place)!r}; wait for it, or stop it."
        with lock_file(self.place / _LOCK, Conflict(said, code="study_busy")):
            yield

    def find(self, key: str) -> RunRecord | None:
        """The finished run of that key.

        Raises:
            StoreError: its record cannot be read.
        """
        path = self.place / key / _RECORD
        with disk_errors():
            if not path.parent.exists():
                return None
            found = path.read_bytes() if path.is_file() else b""  # a run's folder appears with its record
        try:
            return RunRecord.model_validate_json(found)
        except ValidationError as error:
            folder = str(path.parent)
            raise StoreError(
                f"{folder!r} has no record of a run that can be read; remove it to run it again."
            ) from error

    def finished(self) -> int:
        """How many runs are finished, looks at ranks and other seeds' runs not counted.

        Raises:
            StoreError: the folder cannot be read.
        """
        with disk_errors():
            return sum(1 for path in self.place.glob(f"[!.]*/{_RECORD}") if not path.parent.name.startswith("looked-"))

    def find_probe(self) -> RateProbe | None:
        """The learning rate that an earlier session chose by short runs.

        Raises:
            StoreError: it cannot be read.
        """
        path = self.place / PROBE_FILE
        with disk_errors():
            if not path.exists():
                return None
            found = path.read_bytes()
        try:
            return RateProbe.model_validate_json(found)
        except ValidationError as error:
            raise StoreError(f"{str(path)!r} cannot be read; remove it to choose the learning rate again.") from error

    def weights(self, key: str) -> Path:
        """The PEFT folder of a finished run."""
        return self.place / key

    def workspace(self, key: str) -> Path:
        """An empty folder for a run; what a killed one left there is removed."""
        folder = self.place / f".{key}"
        with disk_errors():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        return folder

    def keep(self, record: RunRecord) -> RunRecord:
        """Finish the run in its workspace."""
        folder = self.place / f".{record.key}"
        with disk_errors():
            with (folder / _RECORD).open("w", encoding="utf-8") as file:
                file.write(record.model_dump_json())
                file.flush()
                os.fsync(file.fileno())
            folder.rename(self.place / record.key)
        return record

    def write_bytes(self, name: str, data: bytes) -> None:
        """A report of the study, replaced whole."""
        path, new = self.place / name, self.place / f".{name}"
        with disk_errors():
            self.place.mkdir(parents=True, exist_ok=True)
            new.write_bytes(data)
            new.replace(path)
