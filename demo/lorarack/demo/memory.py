"""The most memory that this process and all below it held at one time."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

_PERIOD = 0.5
_PROC = Path("/proc")


class PeakMemory:
    """While inside, looks twice a second at the resident memory of the process tree (Linux only; elsewhere 0).

    Pages that processes share, such as library code, count once for each of them: the figure errs upwards.
    """

    def __init__(self) -> None:
        self.bytes = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True, name="peak-memory")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.is_set():
            self.bytes = max(self.bytes, resident_bytes(os.getpid()))
            self._over.wait(_PERIOD)


def resident_bytes(root: int) -> int:
    """Resident memory of process ``root`` and all its descendants, in bytes; processes that end meanwhile count 0."""
    parents = dict(_parents())
    children: dict[int, list[int]] = {}
    for process, parent in parents.items():
        children.setdefault(parent, []).append(process)
    tree, found = [root], 0
    while tree:
        process = tree.pop()
        tree += children.get(process, [])
        found += _resident(process)
    return found


def _parents() -> Iterator[tuple[int, int]]:
    for entry in _PROC.iterdir() if _PROC.is_dir() else ():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it has just ended
                continue
            yield int(entry.name), int(fields[1])


def _resident(process: int) -> int:
    try:
        pages = int((_PROC / str(process) / "statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
