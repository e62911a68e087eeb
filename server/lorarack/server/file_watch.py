"""Hears of writes to a registry's database file, so that nobody has to wait for the next look.

Linux's inotify, by ctypes: it tells of writes by this machine's processes. Writes from elsewhere (a network file system), and all
of a database that is no file, are seen by looking, as without it.
"""

import asyncio
import ctypes
import os
import struct
from pathlib import Path

_MODIFIED, _MOVED_TO, _CREATED = 0x2, 0x80, 0x100
_EVENT = struct.Struct("iIII")
_NONBLOCK = os.O_NONBLOCK | os.O_CLOEXEC
#: A write is heard of before its transaction is visible, so several looks follow, after these seconds.
AFTER = (0.001, 0.002, *(0.003,) * 12)


class FileWatch:
    """Waits for writes to a database in a folder: the file itself and those beside it whose names begin with its own."""

    def __init__(self, database: Path) -> None:
        """Of ``database``, for the running event loop.

        Raises:
            OSError: there is no such folder, or this system has no inotify.
        """
        self._name = database.name
        self._looks = 0
        self._written = asyncio.Event()
        library = ctypes.CDLL(None, use_errno=True)
        if not hasattr(library, "inotify_init1"):
            raise OSError("this system has no inotify")
        self._file = library.inotify_init1(_NONBLOCK)
        if self._file < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        if library.inotify_add_watch(self._file, os.fsencode(database.parent), _MODIFIED | _MOVED_TO | _CREATED) < 0:
            number = ctypes.get_errno()
            os.close(self._file)
            raise OSError(number, os.strerror(number), str(database.parent))
        asyncio.get_running_loop().add_reader(self._file, self._read)

    def close(self) -> None:
        """Stop listening."""
        if self._file >= 0:
            asyncio.get_running_loop().remove_reader(self._file)
            os.close(self._file)
            self._file = -1

    async def wait(self, seconds: float) -> None:
        """Until there was a write, or one not long ago may be visible by now; ``seconds`` at most."""
        if self._looks < len(AFTER):
            seconds = min(seconds, AFTER[self._looks])
            self._looks += 1
        try:
            await asyncio.wait_for(self._written.wait(), seconds)
        except TimeoutError:
            return
        self._written.clear()
        self._looks = 0

    def _read(self) -> None:
        """Take what has been told. Called by the event loop."""
        try:
            told = os.read(self._file, 2**16)
        except BlockingIOError:
            return
        place = 0
        while place < len(told):
            *_, length = _EVENT.unpack_from(told, place)
            place += _EVENT.size
            name = os.fsdecode(told[place : place + length].rstrip(b"\0"))
            place += length
            if name.startswith(self._name) and not name.endswith("-shm"):
                self._written.set()
