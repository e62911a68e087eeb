"""Progress on stderr: a bar or a spinner on a terminal, next to nothing elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from lorarack.registry.cli.output import talk


@contextmanager
def counting(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar; call the value with how many of ``total`` are done."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=talk, transient=True, disable=not talk.is_terminal) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)


@contextmanager
def waiting(what: str) -> Iterator[Callable[[float], None]]:
    """A spinner with the seconds so far; call the value now and then."""
    if not talk.is_terminal:
        yield lambda _: None
        return
    with talk.status(what) as status:
        yield lambda seconds: status.update(f"{what} ({seconds:.0f} s)")
