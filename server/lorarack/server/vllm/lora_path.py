"""The two kinds of ``lora_path`` that requests carry; neither is a path on the disk.

A load carries the open file of the API process. Requests carry the digest and a number that no other load has: vLLM keys
its prefix cache by name and path, so what was computed while an adapter failed is never used once it is loaded again.
"""

import itertools
import os
from pathlib import Path

_OPEN = "lorarack-open:"
_loads = itertools.count(int.from_bytes(os.urandom(6)))


def load_path(handle: int) -> str:
    """The ``lora_path`` under which an engine process of this machine finds our open file."""
    return f"{_OPEN}/proc/{os.getpid()}/fd/{handle}"


def request_path(digest: str) -> str:
    """The ``lora_path`` of the requests that name a loaded adapter."""
    return f"{digest}/{next(_loads)}"


def file_to_load(lora_path: str) -> Path | None:
    """Where to open the file that comes with a load; None for the ``lora_path`` of any other request."""
    return Path(lora_path.removeprefix(_OPEN)) if lora_path.startswith(_OPEN) else None
