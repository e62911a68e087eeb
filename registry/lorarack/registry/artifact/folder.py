"""What a folder from PEFT, transformers' Trainer or TRL holds: what is kept, what is ignored, what is refused.

Each file that matters is opened once, without following links, and everything is read from that descriptor: a file
that is replaced afterwards changes nothing.
"""

import errno
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from lorarack.registry.artifact import limits
from lorarack.registry.artifact.manifest import CHAT_TEMPLATE, CONFIG, DEFAULTS, GENERATION_CONFIG, WEIGHTS
from lorarack.registry.artifact.other_formats import missing_problems
from lorarack.registry.errors import InvalidArtifact, NotFound

#: The files that matter, each with the most bytes that are read of it.
READ_LIMITS = {
    CONFIG: limits.MAX_CONFIG_BYTES,
    CHAT_TEMPLATE: limits.MAX_TEMPLATE_BYTES,
    DEFAULTS: limits.MAX_DEFAULTS_BYTES,
    GENERATION_CONFIG: limits.MAX_DEFAULTS_BYTES,
    "trainer_state.json": limits.MAX_TRAINER_STATE_BYTES,
    "tokenizer.json": limits.MAX_TOKENIZER_BYTES,
    "tokenizer_config.json": limits.MAX_TOKENIZER_BYTES,
    "special_tokens_map.json": limits.MAX_CONFIG_BYTES,
    "added_tokens.json": limits.MAX_TOKENIZER_BYTES,
    "vocab.json": limits.MAX_TOKENIZER_BYTES,
    "logging.jsonl": limits.MAX_TRAINER_STATE_BYTES,
    WEIGHTS: limits.MAX_WEIGHT_BYTES,
}


_CHUNK = 2**20
_BLOB = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}", re.ASCII)

#: Entries that are looked at for adapters, at each of two levels.
_SUBFOLDERS = 1000
#: Files that are read to compare them with the base's, or for what they say of the run, and are not kept.
_ONLY_COMPARED = frozenset({"tokenizer_config.json", "special_tokens_map.json", "vocab.json"})
_IS_A_LINK = (
    "is a link; copy the file it points to into the folder ('hf download' with --local-dir does, or 'lorarack pull')"
)


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder whose shape is right, with its files open: it has a configuration and safetensors weights, all plain files."""

    path: Path
    files: Mapping[str, FileIO]
    ignored: tuple[str, ...]

    @property
    def weights(self) -> FileIO:
        """The weight file; its place is wherever the last reader left it."""
        return self.files[WEIGHTS]

    def read(self, name: str) -> bytes | None:
        """A small file's bytes, or None when the folder has no such file.

        Raises:
            InvalidArtifact: it grew over its limit since it was opened.
        """
        file = self.files.get(name)
        if file is None:
            return None
        file.seek(0)
        limit = READ_LIMITS[name]
        data = bytearray()
        while len(data) <= limit and (chunk := file.read(min(_CHUNK, limit + 1 - len(data)))):
            data += chunk
        problem = size_problem(name, len(data))
        if problem:
            raise InvalidArtifact([problem], subject=f"The folder {str(self.path)!r}")
        return bytes(data)


@contextmanager
def open_folder(path: Path) -> Iterator[Folder]:
    """Check the shape of ``path`` and open the files that matter, for as long as the context lasts.

    Raises:
        NotFound: no such folder.
        InvalidArtifact: links that leave it (but for the Hub's cache), files over the limits, no safetensors weights, no
            configuration.
    """
    if not os.path.isdir(path):  # Path.is_dir raises where a name is too long
        raise NotFound(_no_folder(path), code="no_folder")
    problems: list[str] = []
    names: list[str] = []
    files: dict[str, FileIO] = {}
    with ExitStack() as opened:
        place = _open_place(path, opened)
        for count, name in enumerate(sorted(os.listdir(place))):
            if count >= limits.MAX_FILES:
                raise InvalidArtifact(
                    [f"it holds more than {limits.MAX_FILES} files; publish the adapter's own folder"]
                )
            names.append(name)
            file, problem = _open_entry(path, place, name)
            if file is not None:
                files[name] = opened.enter_context(file)
            elif problem:
                problems.append(problem)
        if not {CONFIG, WEIGHTS} <= set(names):
            problems.extend(
                missing_problems(names, _adapters_below(place, names), lambda below: f"for example its {below!r}")
            )
        if problems:
            raise InvalidArtifact(problems, subject=f"The folder {str(path)!r}")
        yield Folder(path, files, tuple(name for name in names if name not in files or name in _ONLY_COMPARED))


def _no_folder(path: Path) -> str:
    where = str(path)
    if os.path.isfile(path):
        return f"There is no folder {where!r}: it is a file; give the folder that PEFT's save_pretrained wrote."
    on_the_hub = re.match(r"(https?:/+)?(www\.)?(huggingface\.co|hf\.co)/", where) or re.fullmatch(
        r"[\w.-]+/[\w.-]+", where
    )
    hint = "; one that is on the Hub is taken with 'lorarack pull'" if on_the_hub else ""
    return f"There is no folder {where!r}; give the folder that PEFT's save_pretrained wrote{hint}."


def _open_place(path: Path, opened: ExitStack) -> int:
    """The folder itself, opened once: replacing it afterwards changes nothing."""
    place = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    opened.callback(os.close, place)
    return place


def _open_entry(path: Path, place: int, name: str) -> tuple[FileIO | None, str]:
    """A relevant file, open for reading, or why the entry is refused. The open file itself is checked, not its directory entry."""
    mode = os.lstat(name, dir_fd=place)
    linked = _blob_behind(path, name, place) if stat.S_ISLNK(mode.st_mode) else None
    if stat.S_ISLNK(mode.st_mode) and linked is None:
        return None, f"{name!r} {_IS_A_LINK}"
    if name not in READ_LIMITS:
        return None, ""
    if linked is None and not stat.S_ISREG(mode.st_mode):
        return None, f"{name!r} is not a plain file"
    try:
        # Not blocking: it may have become a pipe that nobody writes to.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        handle = _open_blob(*linked, place) if linked else os.open(name, flags, dir_fd=place)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            return None, f"{name!r} {_IS_A_LINK}"
        if linked and error.errno == errno.ENOENT:
            return None, f"{name!r} is a link to a blob that the cache does not hold; download the repository again"
        raise
    file = os.fdopen(handle, "rb", buffering=0)
    found = os.fstat(handle)
    problem = "" if stat.S_ISREG(found.st_mode) else f"{name!r} is not a plain file"
    problem = problem or size_problem(name, found.st_size) or ""
    if problem:
        file.close()
        return None, problem
    return file, ""


def size_problem(name: str, size: int) -> str | None:
    """Why a file of ``size`` bytes is refused, if so."""
    limit = READ_LIMITS.get(name)
    if limit is None or size <= limit:
        return None
    return f"{name!r} has {size} bytes; lorarack reads at most {limit}"


def _adapters_below(place: int, names: list[str]) -> list[str]:
    """Subfolders, and their subfolders, that hold an adapter's configuration."""
    found: list[str] = []
    for name in names[:_SUBFOLDERS]:
        try:
            if not stat.S_ISDIR(os.lstat(name, dir_fd=place).st_mode):
                continue
            if _is_there(f"{name}/{CONFIG}", place):
                found.append(name)
            else:
                inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=place)
                try:
                    below = sorted(os.listdir(inner))
                finally:
                    os.close(inner)
                found.extend(
                    f"{name}/{sub}" for sub in below[:_SUBFOLDERS] if _is_there(f"{name}/{sub}/{CONFIG}", place)
                )
        except OSError:
            continue  # only a hint
    return found


def _is_there(name: str, place: int) -> bool:
    try:
        os.lstat(name, dir_fd=place)
    except OSError:
        return False
    return True


def _blob_behind(folder: Path, name: str, place: int) -> tuple[str, str] | None:
    """Where a link in the cache of huggingface_hub points to: ``snapshots/COMMIT/FILE`` of a repository into its ``blobs``.

    Returns:
        The blobs' folder, relative to ``folder``, and the blob's name; None for any other link.

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


def _open_blob(blobs: str, blob: str, place: int) -> int:
    """The blob's descriptor. Neither the blobs' folder nor the blob may be a link; that is checked when they are opened.

    Raises:
        OSError: it cannot be opened; ``ELOOP`` or ``ENOTDIR`` where it is a link.
    """
    folder = os.open(blobs, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=place)
    try:
        return os.open(blob, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    finally:
        os.close(folder)
