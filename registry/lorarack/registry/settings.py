"""Where things lie, from the environment (prefix ``LORARACK_``)."""

import os
from pathlib import Path


def home_folder() -> Path:
    """``LORARACK_HOME``, else ``~/.lorarack``: the default registry, and beside it ``bases/`` and ``cache/``."""
    return Path(os.environ.get("LORARACK_HOME") or "~/.lorarack").expanduser().absolute()


def default_registry() -> str:
    """``LORARACK_REGISTRY``, else the home folder."""
    return os.environ.get("LORARACK_REGISTRY") or str(home_folder())
