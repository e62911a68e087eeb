"""The user's own cache folder. Its content runs in the server, so nobody else may write to it.

Compiled kernels, torch's and vLLM's compiled models (some are pickles) and what a start remembers all lie in one folder,
``$XDG_CACHE_HOME/lorarack`` or ``~/.cache/lorarack``, of mode 700. Never in ``/tmp`` under a name that others can guess.
"""

import grp
import os
import pwd
import stat
from collections.abc import Mapping
from pathlib import Path

from lorarack.registry.errors import EngineError

_OTHERS = stat.S_IWOTH
_GROUP = stat.S_IWGRP


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Where it is. A relative ``XDG_CACHE_HOME`` counts for nothing, as its specification says."""
    given = environ.get("XDG_CACHE_HOME", "")
    home = Path(given) if given.startswith("/") else Path(environ.get("HOME") or "~").expanduser() / ".cache"
    return home / "lorarack"


def private_folder(folder: Path) -> Path:
    """``folder``, made where it is not there, of mode 700; its real path.

    Raises:
        EngineError: it cannot be made, is somebody else's, or others may write to it or to a folder above it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        real = folder.resolve(strict=True)
        if reason := untrusted_reason(real):
            raise EngineError(reason, code="shared_cache")
        real.chmod(0o700)
    except OSError as error:
        raise EngineError(f"{folder} cannot be used: {error.strerror}.", code="shared_cache") from error
    return real


def untrusted_reason(path: Path) -> str | None:
    """Why somebody else could have written what is at ``path``; None: nobody could."""
    real = path.resolve()
    for place in (real, *real.parents):
        try:
            found = place.lstat()
        except OSError as error:
            return f"{place} cannot be looked at: {error.strerror}."
        if found.st_uid not in (0, os.getuid()):
            return f"{place} belongs to another user, and what lies there would run in the server."
        sticky = stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX and place != real
        if not sticky and (found.st_mode & _OTHERS or (found.st_mode & _GROUP and not _own_group(found.st_gid))):
            return f"{place} can be written by others, and what lies there would run in the server."
    return None


def _own_group(gid: int) -> bool:
    """Whether the group is the user's alone: distributions that give each user one let it write by default."""
    try:
        name, group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(gid)
    except KeyError:
        return False
    return group.gr_name == name and set(group.gr_mem) <= {name}
