"""Progress on stderr: a bar or a spinner on a terminal, next to nothing elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from lorarack.registry.cli.output import note, talk


class EvaluationProgress(Protocol):
    """What an evaluation reports while it runs."""

    def starting(self, base: str, log: Path) -> None:
        """A server of ``base`` is being started; it logs to ``log``."""

    def waiting(self, seconds: float) -> None:
        """It is not ready yet, after so many seconds."""

    def answered(self, done: int, total: int) -> None:
        """So many of all requests are answered."""

    def judged(self, done: int, total: int) -> None:
        """So many of all requests to the judge are answered."""


class Silent:
    """Reports nothing."""

    def starting(self, base: str, log: Path) -> None:
        """Nothing."""

    def waiting(self, seconds: float) -> None:
        """Nothing."""

    def answered(self, done: int, total: int) -> None:
        """Nothing."""

    def judged(self, done: int, total: int) -> None:
        """Nothing."""


class ConsoleEvaluation:
    """One line on a terminal, from the first news on: the server's start, then a bar of answers. Close it with ``with``."""

    def __init__(self, indent: str = "") -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._indent = indent
        self._bar = Progress(*columns, console=talk, transient=True, disable=not talk.is_terminal)
        self._task = self._bar.add_task(f"{indent}evaluating", total=None)

    def __enter__(self) -> "ConsoleEvaluation":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def starting(self, base: str, log: Path) -> None:
        """Say where the server logs to."""
        note(f"Starting a server of {base}; it logs to {log}")

    def waiting(self, seconds: float) -> None:
        """Show the seconds."""
        self._show("starting the server")

    def answered(self, done: int, total: int) -> None:
        """Move the bar."""
        self._show("evaluating", completed=done, total=total)

    def judged(self, done: int, total: int) -> None:
        """Move the bar."""
        self._show("judging", completed=done, total=total)

    def _show(self, what: str, completed: int | None = None, total: int | None = None) -> None:
        self._bar.start()
        self._bar.update(self._task, description=f"{self._indent}{what}", completed=completed, total=total)


@contextmanager
def waiting(what: str) -> Iterator[Callable[[float], None]]:
    """A spinner with the seconds so far; call the value now and then."""
    if not talk.is_terminal:
        yield lambda _: None
        return
    with talk.status(what) as status:
        yield lambda seconds: status.update(f"{what} ({seconds:.0f} s)")
