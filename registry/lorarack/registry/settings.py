"""Where things lie, from the environment (prefix ``LORARACK_``)."""

import os
from pathlib import Path

from lorarack.registry.errors import UsageError


def home_folder() -> Path:
    """``LORARACK_HOME``, else ``~/.lorarack``: the default registry, and beside it ``bases/`` and ``cache/``.

    Raises:
        UsageError: no system could have such a path.
    """
    return usable_path(os.environ.get("LORARACK_HOME") or "~/.lorarack").absolute()


def default_registry() -> str:
    """``LORARACK_REGISTRY``, else the home folder."""
    return os.environ.get("LORARACK_REGISTRY") or str(home_folder())


def usable_path(path: str | Path) -> Path:
    """``path`` with ``~`` filled in.

    Raises:
        UsageError: not a valid path: the home of an unknown user, a NUL, a lone surrogate.
    """
    try:
        return check_path(Path(path).expanduser())
    except RuntimeError as error:
        raise UsageError(f"{str(path)!a} names the home folder of a user who is not here.", code="bad_path") from error


def check_path(path: Path) -> Path:
    """``path`` as it is.

    Raises:
        UsageError: no system could have such a path: a NUL, half of a character.
    """
    try:
        raw = os.fsencode(path)
    except UnicodeEncodeError as error:
        raise UsageError(f"{str(path)!a} is not a path: it holds half of a character.", code="bad_path") from error
    if b"\0" in raw:
        raise UsageError(f"{str(path)!a} is not a path: it holds a NUL.", code="bad_path")
    return path


def local_actor() -> str:
    """``user@host`` of this process."""
    import getpass
    import socket

    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # no such user in the password file, as in some containers
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
