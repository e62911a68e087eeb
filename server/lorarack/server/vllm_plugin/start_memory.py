"""What a start had made of the environment by the time that its engine began, kept for the next start.

Variables that the user set are not in it: only what vLLM, torch and we add or change on the way.
"""

import logging
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from lorarack.registry.values import Value
from lorarack.server.settings import VARIABLE

_SECRETS = ("TOKEN", "KEY", "SECRET", "PASS", "CREDENTIAL")
#: A folder that vLLM makes anew at each start with several API servers, and names in a variable that is read at an import.
_NEW_EACH_TIME = "PROMETHEUS_MULTIPROC_DIR"
_logger = logging.getLogger("vllm.lorarack")  # as vLLM logs, whose process this is


class Remembered(Value):
    """What had changed in the environment from the beginning of a start until its engine began, and for which Python."""

    python: str
    changed: dict[str, str]


def recall(memory: Path) -> dict[str, str] | None:
    """What ``remember`` left there; None: nothing, or nothing of use to this Python."""
    try:
        found = Remembered.model_validate_json(memory.read_bytes())
    except (OSError, ValidationError):
        return None
    return found.changed if found.python == sys.prefix else None


def remember(memory: Path, changed: Mapping[str, str]) -> None:
    """For the next start. What cannot be written costs that start some seconds, no more."""
    try:
        content = Remembered(python=sys.prefix, changed=dict(changed)).model_dump_json().encode()
        memory.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=memory.parent) as folder:
            part = Path(folder) / memory.name
            part.touch(mode=0o600)
            part.write_bytes(content)
            os.replace(part, memory)
    except (OSError, ValueError) as error:
        _logger.info("The next start will take longer, for %s cannot be written: %s", memory, error)


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str] | None:
    """What is new or other now; None where it cannot be remembered: a secret, what is always new, a variable that is gone.

    Our own variable is another at each start too, but nobody reads it before there is work.
    """
    changed = {name: value for name, value in now.items() if before.get(name) != value and name != VARIABLE}
    secret = any(part in name.upper() for name in changed for part in _SECRETS)
    return None if secret or _NEW_EACH_TIME in changed or before.keys() - now.keys() else changed
