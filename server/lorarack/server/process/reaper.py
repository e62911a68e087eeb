"""Kills the processes that a killed server leaves behind. A program of its own, so that it outlives the server.

Its standard input is a pipe that only the server holds, so it ends when the server does. The server's processes are recognised by
a marker in their environment, which children inherit, whatever their group or session.
"""

import os
import signal
import sys
import time
from pathlib import Path

#: How long to go on after finding nothing: a process may have been about to start another.
_QUIET_SECONDS = 0.3
_PATIENCE_SECONDS = 60
_STEP_SECONDS = 0.05
#: It ends by itself after its users, and frees their shared memory first.
_TRACKER = b"multiprocessing.resource_tracker"


def leftover_processes(marker: bytes) -> list[int]:
    """Processes with ``marker`` in their environment, without this one. Other users' are not seen."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            ours = marker in (entry / "environ").read_bytes()
            if ours and _TRACKER not in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:  # it has just ended, or is another user's
            continue
    return found


def kill_all(marker: bytes) -> None:
    """Kill them until no new one has appeared for a while."""
    start = quiet_since = time.monotonic()
    while (now := time.monotonic()) - quiet_since < _QUIET_SECONDS and now - start < _PATIENCE_SECONDS:
        for pid in leftover_processes(marker):
            quiet_since = now
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                continue
        time.sleep(_STEP_SECONDS)


if __name__ == "__main__":
    while sys.stdin.buffer.read(4096):
        pass
    kill_all(sys.argv[1].encode())
