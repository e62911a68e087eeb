"""Ends what a server leaves behind that was killed. A small program of its own, so that it outlives the server.

Its standard input is a pipe that only the server's process holds: the input's end is the server's, however that came. What belongs
to the server is told by a word in the environment, which every process below it inherits, whatever its group or session.
"""

import os
import signal
import sys
import time
from pathlib import Path

#: So long it looks on after it has found nothing: a process may have been just about to begin another.
_QUIET_SECONDS = 0.3
_PATIENCE_SECONDS = 60
_STEP_SECONDS = 0.05
#: It ends by itself once all who use it have ended, and first frees what they left in shared memory.
_TRACKER = b"multiprocessing.resource_tracker"


def leftover_processes(word: bytes) -> list[int]:
    """Processes with ``word`` in their environment, without this one. Other users' are not seen."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            ours = word in (entry / "environ").read_bytes()
            if ours and _TRACKER not in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:  # it has just ended, or is another user's
            continue
    return found


def kill_all(word: bytes) -> None:
    """Kill them until none has come up for a while."""
    start = quiet_since = time.monotonic()
    while (now := time.monotonic()) - quiet_since < _QUIET_SECONDS and now - start < _PATIENCE_SECONDS:
        for pid in leftover_processes(word):
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
