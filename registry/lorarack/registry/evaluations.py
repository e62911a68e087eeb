"""Where the evaluations of versions are kept, and their removal. Their content is read and written by the adapters component."""

import re
import shutil
from pathlib import Path

from lorarack.registry.errors import StoreError
from lorarack.registry.settings import home_folder

_DIGEST = re.compile(r"[0-9a-f]{64}")


def evaluations_folder(location: str) -> Path:
    """For the registry at ``location``: beside it, or in ``LORARACK_HOME`` where it is no folder."""
    place = Path(location)
    return (place if place.is_dir() else home_folder()) / "evaluations"


def kept_digests(location: str) -> dict[str, Path]:
    """Digest of a version -> the folder of its evaluations; empty where registries may share the place."""
    if not Path(location).is_dir():
        return {}
    folders = evaluations_folder(location).glob("*")
    return {f"sha256:{path.name}": path for path in folders if _DIGEST.fullmatch(path.name) and path.is_dir()}


def folder_bytes(folder: Path) -> int:
    """Bytes of the files in it."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


def remove_evaluations(folder: Path) -> None:
    """Remove all evaluations of one digest.

    Raises:
        StoreError: they cannot be removed.
    """
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(f"{folder} cannot be removed: {error.strerror or error}.") from error
