"""Kills this process at one chosen step of what it does to files and database."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

#: What the interpreter tells of the files that a program touches (https://docs.python.org/3/library/audit_events.html).
FILES = {"open", "os.chmod", "os.mkdir", "os.remove", "os.rename", "tempfile.mkstemp", "shutil.copyfile"}


class Steps:
    """Counts steps from ``arm`` on: each touch of a file below ``home``, each fsync, each statement, each commit."""

    def __init__(self, home: Path, kill_at: int | None) -> None:
        self.names: list[str] = []
        self._home = str(home)
        self._kill_at = kill_at
        self._armed = False

    def arm(self) -> None:
        """Begin to count; for good, so in a process of its own."""
        self._armed = True
        sys.addaudithook(self._on_audit)
        sync = os.fsync

        def counted(handle: int) -> None:
            self._step("fsync")
            sync(handle)

        os.fsync = counted  # type: ignore[assignment]
        event.listen(Engine, "before_cursor_execute", self._on_statement)
        event.listen(Engine, "commit", lambda _: self._step("commit"))

    def disarm(self) -> None:
        """Count no more."""
        self._armed = False

    def _on_audit(self, what: str, arguments: tuple[Any, ...]) -> None:
        if self._armed and what in FILES and any(self._home in str(argument) for argument in arguments):
            self._step(what)

    def _on_statement(self, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        self._step(" ".join(statement.split()[:3]))

    def _step(self, name: str) -> None:
        if not self._armed:
            return
        if len(self.names) == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.names.append(name)
