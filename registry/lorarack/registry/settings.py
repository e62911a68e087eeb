"""Where things lie, from the environment (prefix ``LORARACK_``)."""

import os
from pathlib import Path


def home_folder() -> Path:
    """``LORARACK_REGISTRY``, else ``LORARACK_HOME``, else ``~/.lorarack``: the registry, and beside it ``bases/`` and ``cache/``."""
    chosen = os.environ.get("LORARACK_REGISTRY") or os.environ.get("LORARACK_HOME") or "~/.lorarack"
    return Path(chosen).expanduser().absolute()
