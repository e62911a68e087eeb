"""The whole contents of weight files, hashed once: of the file, and of each tensor in it, so that shards do not matter.

What was hashed is remembered in the user's cache under the file's identity (path, size, times, inode), so that only a file that
was written to is read again.
"""

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from lorarack.registry.artifact.weights import Tensor, read_header
from lorarack.registry.errors import Conflict
from lorarack.registry.settings import home_folder

#: Hears how many bytes were read since it last heard.
Progress = Callable[[int], None]
_CHUNK = 2**23
_WORTH_A_THREAD = 2**16
#: A file written to so recently may be written to again without its times showing it.
_TICK_NS = 50_000_000


@dataclass(frozen=True, slots=True)
class FileContent:
    """SHA-256 of a weight file, and of each of its tensors."""

    sha256: str
    tensors: dict[str, str]


def file_content(path: Path, progress: Progress | None = None) -> FileContent:
    """Read ``path`` whole, unless it was and has not changed since.

    Raises:
        Conflict: it changed while it was read.
        HeaderError: it is no safetensors file.
        OSError: it cannot be read.
    """
    before = _identity(path)
    known = _recall(path, before)
    if known is not None:
        if progress:
            progress(before[0])
        return known
    with path.open("rb") as file:
        found = _hash(file, read_header(file, before[0]), progress)
    if _identity(path) != before:
        raise Conflict(f"{str(path)!r} changed while it was read; retry once nothing is writing to it.", code="changed")
    if time.time_ns() - max(before[1], before[2]) > _TICK_NS:
        _remember(path, before, found)
    return found


def _hash(file: BinaryIO, tensors: tuple[Tensor, ...], progress: Progress | None) -> FileContent:
    whole, found = hashlib.sha256(), {}
    file.seek(0)
    # One thread for the file, one for its tensors: hashing lets other threads run.
    with ThreadPoolExecutor(1) as beside:
        ordered = sorted(tensors, key=lambda tensor: (tensor.start, tensor.end))
        position = ordered[0].start if ordered else 0
        whole.update(file.read(position))
        for tensor in ordered:
            own = hashlib.sha256()
            left = tensor.end - tensor.start
            while left and (chunk := file.read(min(_CHUNK, left))):
                if len(chunk) > _WORTH_A_THREAD:
                    running = beside.submit(whole.update, chunk)
                    own.update(chunk)
                    running.result()
                else:
                    whole.update(chunk)
                    own.update(chunk)
                left -= len(chunk)
                if progress:
                    progress(len(chunk))
            found[tensor.name] = own.hexdigest()
        whole.update(file.read())
    return FileContent(whole.hexdigest(), found)


def _identity(path: Path) -> tuple[int, int, int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def _note_of(path: Path) -> Path:
    name = hashlib.sha256(os.fsencode(path.absolute())).hexdigest()
    return home_folder() / "cache" / "weights" / f"{name}.json"


def _recall(path: Path, identity: tuple[int, ...]) -> FileContent | None:
    try:
        with _note_of(path).open() as file:
            if hasattr(os, "geteuid") and os.fstat(file.fileno()).st_uid != os.geteuid():
                return None  # somebody else's word, in a home that is shared
            note = json.load(file)
        if tuple(note["identity"]) != identity:
            return None
        return FileContent(str(note["sha256"]), {str(name): str(digest) for name, digest in note["tensors"].items()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _remember(path: Path, identity: tuple[int, ...], found: FileContent) -> None:
    place = _note_of(path)
    note = {"identity": identity, "path": str(path), "sha256": found.sha256, "tensors": found.tensors}
    with suppress(OSError):  # a memory only: without it the file is read again
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile("w", dir=place.parent, prefix=".", delete=False) as file:
            json.dump(note, file)
        Path(file.name).replace(place)
