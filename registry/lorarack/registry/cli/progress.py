"""A bar on stderr for work that may take long."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import DownloadColumn, Progress, SpinnerColumn, TextColumn, TransferSpeedColumn

from lorarack.registry.cli.output import talk

#: Shorter work needs no bar.
_PATIENCE_SECONDS = 0.5


@contextmanager
def reading_weights() -> Iterator[Callable[[int], None]]:
    """What counts the bytes of weights that are read; on a terminal it shows a bar when they are many."""
    bar = Progress(
        SpinnerColumn(),
        TextColumn("Reading weights"),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=talk,
        transient=True,
    )
    task = bar.add_task("weights", total=None)
    begun = time.monotonic()

    def advance(count: int) -> None:
        if not bar.live.is_started and talk.is_terminal and time.monotonic() - begun > _PATIENCE_SECONDS:
            bar.start()
        bar.advance(task, count)

    try:
        yield advance
    finally:
        if bar.live.is_started:
            bar.stop()
