"""Base and adapters, made in a process of their own: torch's memory goes back before the server starts."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TypeVar

from lorarack.adapters.recipe import Recipe
from lorarack.adapters.studies.report import StudyReport
from lorarack.registry.cli.output import note, talk
from lorarack.registry.errors import EngineError, LorarackError
from lorarack.registry.registry import open_registry
from lorarack.registry.values import Base

T = TypeVar("T")


class WorkerProcess:
    """A process that makes one thing after the other."""

    def __init__(self, process: BaseProcess, line: Connection, home: Path) -> None:
        self._process = process
        self._line = line
        self._home = home

    def base(self) -> Base:
        """The demo's base, made ready when it is not yet.

        Raises:
            Unavailable: neither the Hub nor the package can be reached.
            Conflict: the registry knows another model by this name.
            StoreError: the disk.
        """
        return self._made(_base, self._home)

    def study(self, recipe: Recipe) -> StudyReport:
        """The study of the recipe's ranks; what an earlier one has finished is used again.

        Raises:
            UsageError: training is not installed.
            Conflict: the adapter belongs to another base, or another process works on this study.
            EngineError: training failed.
            StoreError: the disk.
        """
        return self._made(_study, self._home, recipe)

    def _made(self, make: Callable[..., T], *arguments: object) -> T:
        try:
            self._line.send((make, arguments))
            error, result = self._line.recv()
        except (EOFError, OSError) as broken:
            raise EngineError(self._end()) from broken
        if error is not None:
            raise error
        made: T = result
        return made

    def _end(self) -> str:
        self._process.join(5.0)
        if self._process.exitcode == -signal.SIGKILL:
            return "The training process was killed, most likely because memory ran out; close other programs and run this again."
        return f"The training process stopped (exit code {self._process.exitcode}); its output is above."


@contextmanager
def worker_process(home: Path) -> Iterator[WorkerProcess]:
    """Open it for the registry in ``home``; at the end, whatever happens, its process is gone."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs,), daemon=True, name="worker_process")
    process.start()
    theirs.close()
    try:
        yield WorkerProcess(process, ours, home)
    finally:
        ours.close()  # it ends when it has nothing more to wait for
        process.join(5.0)
        process.kill()
        process.join()


def _work(line: Connection) -> None:
    try:
        while True:
            make, arguments = line.recv()
            try:
                line.send((None, make(*arguments)))
            except LorarackError as error:
                line.send((error, None))
    except (EOFError, OSError, KeyboardInterrupt):
        return


def _base(home: Path) -> Base:
    from lorarack.demo.base import ensure_base

    with open_registry(home) as registry:
        return ensure_base(registry, note)


def _study(home: Path, recipe: Recipe) -> StudyReport:
    from lorarack.adapters.studies.run import study
    from lorarack.adapters.training.progress import ConsoleProgress

    with open_registry(home) as registry, ConsoleProgress(talk) as progress:
        return study(recipe, registry, progress)
