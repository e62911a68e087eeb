"""Links in the cache of huggingface_hub: ``models--ORG--REPO/snapshots/COMMIT/FILE`` points into ``models--ORG--REPO/blobs``."""

import os
import re
from pathlib import Path

_BLOB = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}", re.ASCII)


def blob_behind(folder: Path, name: str, place: int) -> tuple[str, str] | None:
    """The blobs' folder, relative to ``folder``, and the blob's name that the link ``name`` points to; None for any other link.

    Args:
        folder: a folder, as it was named.
        name: a link in it.
        place: the folder, open.
    """
    real = os.path.realpath(folder)
    parts = Path(real).parts
    if "snapshots" not in parts:
        return None
    above = len(parts) - 1 - parts[::-1].index("snapshots")  # the last of that name
    depth = len(parts) - above
    repository = os.path.join(*parts[:above])
    target = os.path.normpath(os.path.join(real, os.readlink(name, dir_fd=place)))
    blobs, blob = os.path.split(target)
    if depth < 2 or blobs != os.path.join(repository, "blobs") or not _BLOB.fullmatch(blob):
        return None
    return os.path.join(*[".."] * depth, "blobs"), blob


def open_blob(blobs: str, blob: str, place: int) -> int:
    """The blob's descriptor. Neither the blobs' folder nor the blob may be a link; that is checked when they are opened.

    Raises:
        OSError: it cannot be opened; ``ELOOP`` or ``ENOTDIR`` where it is a link.
    """
    folder = os.open(blobs, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=place)
    try:
        return os.open(blob, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    finally:
        os.close(folder)
