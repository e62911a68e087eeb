"""The ``lorarack`` command as a user runs it, without the cost of a process."""

import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from lorarack.registry.cli.main import main


@dataclass(frozen=True)
class Answer:
    """What a command left: exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """The one object or array on stdout of a command that succeeded."""
        assert self.code == 0, self
        return json.loads(self.out)


def lorarack(*arguments: object) -> Answer:
    """Run ``lorarack ARGUMENTS`` through its real ``main``."""
    out, err = io.StringIO(), io.StringIO()
    argv = ["lorarack", *map(str, arguments)]
    with redirect_stdout(out), redirect_stderr(err), patch.object(sys, "argv", argv):
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    return Answer(code, out.getvalue(), err.getvalue())
