"""A run's progress."""

import time
from collections.abc import Sequence
from datetime import timedelta
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from lorarack.adapters.data.report import SplitReport


class TrainingProgress(Protocol):
    """Hears about a run as it goes."""

    def note(self, text: str) -> None:
        """One line about something else than steps."""

    def data(self, reports: Sequence[SplitReport]) -> None:
        """The rows are read and counted."""

    def begin(self, title: str, steps: int) -> None:
        """A run starts."""

    def step(self, step: int, loss: float | None, tokens: int) -> None:
        """A step is done; ``loss`` is the newest training loss, ``tokens`` went through the model since the run began."""

    def validated(self, step: int, train_loss: float | None, loss: float, best: bool) -> None:
        """The loss on the validation rows; ``best``: no earlier one was lower."""

    def end(self) -> None:
        """The run is over, well or not."""


class Silent:
    """Says nothing."""

    def note(self, text: str) -> None:
        """Nothing."""

    def data(self, reports: Sequence[SplitReport]) -> None:
        """Nothing."""

    def begin(self, title: str, steps: int) -> None:
        """Nothing."""

    def step(self, step: int, loss: float | None, tokens: int) -> None:
        """Nothing."""

    def validated(self, step: int, train_loss: float | None, loss: float, best: bool) -> None:
        """Nothing."""

    def end(self) -> None:
        """Nothing."""


class ConsoleProgress:
    """A moving bar on a terminal; elsewhere one line for each validation."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar: Progress | None = None
        self._title = ""
        self._steps = 0
        self._eval = self._speed = ""
        self._began = 0.0
        self._first: int | None = None
        self.reports: tuple[SplitReport, ...] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.end()

    def note(self, text: str) -> None:
        """One dim line."""
        self._console.print(text, style="dim", markup=False)

    def data(self, reports: Sequence[SplitReport]) -> None:
        """A line about each split's lengths; the reports are kept."""
        self.reports = tuple(reports)
        for report in reports:
            if found := report.tokens:
                left_out = f"; {report.dropped} longer ones are left out" if report.dropped else ""
                self.note(
                    f"{report.split}: {report.rows} rows, tokens a row: median {found.median}, 95th percentile {found.p95}, "
                    f"longest {found.longest}{left_out}."
                )

    def begin(self, title: str, steps: int) -> None:
        """Show the bar, or a line where bars cannot move."""
        self._title, self._steps, self._eval = title, steps, ""
        self._began, self._first, self._speed = time.monotonic(), None, ""
        if not self._console.is_terminal:
            self._console.print(f"{title}: {steps} steps", markup=False)
            return
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[losses]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
        )
        self._bar.add_task(title, total=steps, losses="")
        self._bar.start()

    def step(self, step: int, loss: float | None, tokens: int) -> None:
        """Move the bar."""
        self._first = step if self._first is None else self._first
        self._speed = f"{tokens / max(time.monotonic() - self._began, 1e-9):,.0f} tokens/s"
        if self._bar is not None:
            shown = f"loss {loss:.3f} {self._eval}" if loss is not None else self._eval
            self._bar.update(self._bar.task_ids[0], completed=step, losses=f"{shown.strip()} {self._speed}")

    def validated(self, step: int, train_loss: float | None, loss: float, best: bool) -> None:
        """Keep the validation loss beside the bar, or say it in a line."""
        self._eval = f"eval {loss:.3f}"
        if self._bar is None:
            train = f"train loss {train_loss:.4f}, " if train_loss is not None else ""
            mark = "" if best else " (not better)"
            line = f"{self._title}: step {step}/{self._steps}, {train}eval loss {loss:.4f}{mark}, {self._speed}{self._left(step)}"
            self._console.print(line, markup=False)

    def _left(self, step: int) -> str:
        """The time that the other steps take, where they take as long as those of this process so far."""
        done = step - (self._first or 0) + 1
        seconds = (time.monotonic() - self._began) / done * (self._steps - step)
        return f", {timedelta(seconds=round(seconds))} left" if step < self._steps else ""

    def end(self) -> None:
        """Leave the bar as it is and free the line."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
