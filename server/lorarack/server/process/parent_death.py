"""Ends all processes of a server when it dies, at any moment.

Two ways. The kernel kills a process whose parent has died (``PR_SET_PDEATHSIG``): at once, but only a
process in which our code runs, and only a direct child. And a small program (``reaper.py``) notices the server's end by a pipe and
kills what still has the server's marker in its environment: compilers, new processes, grandchildren. Processes that
write their title over their environment, as vLLM's do, lose the marker; for those the first way works.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

_PR_SET_PDEATHSIG = 1
_REAPER = Path(__file__).with_name("reaper.py")


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process once ``parent`` dies; exit now if it has died already.

    The kernel goes by the thread of the parent that began this process, so: only where that was its main thread.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


@contextmanager
def reaper(marker: str) -> Iterator[None]:
    """Inside the block, a program waits for this process to end, and then kills what has ``marker`` in its environment."""
    program = subprocess.Popen(
        [sys.executable, "-I", "-S", str(_REAPER), marker],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C and what else is sent to our group is not for it
        cwd="/",
    )
    ours, line = os.getpid(), program.stdin
    assert line is not None  # noqa: S101 - a pipe was asked for
    _forks.guard(ours, line)
    try:
        yield
    finally:
        if os.getpid() == ours:
            _forks.guard(0, None)
            line.close()
            program.wait()


class _Forks:
    """The first steps of a forked process of a server: close the pipe, and end when the server ends."""

    def __init__(self) -> None:
        self._parent = 0
        self._line: IO[bytes] | None = None
        self._by_main_thread = False
        os.register_at_fork(before=self._before, after_in_child=self._in_child)

    def guard(self, parent: int, line: IO[bytes] | None) -> None:
        self._parent, self._line = parent, line

    def _before(self) -> None:
        self._by_main_thread = threading.current_thread() is threading.main_thread()

    def _in_child(self) -> None:
        if self._line is None:
            return
        with suppress(OSError):
            os.close(self._line.fileno())
        if self._by_main_thread:
            die_with_parent(self._parent)


_forks = _Forks()
