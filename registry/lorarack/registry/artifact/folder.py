"""What a folder from PEFT, transformers' Trainer or TRL holds: what is kept, what is passed over, what is refused.

Each file that matters is opened once, without following links, and everything is read from that descriptor: whoever
exchanges a file afterwards changes nothing.
"""

import errno
import os
import stat
from collections.abc import Container, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from lorarack.registry.artifact import limits
from lorarack.registry.artifact.manifest import CHAT_TEMPLATE, CONFIG, WEIGHTS
from lorarack.registry.errors import InvalidArtifact, NotFound

_PICKLED_WEIGHTS = ("adapter_model.bin", "adapter_model.pt", "adapter_model.pth", "pytorch_model.bin")
#: The files that matter, each with the most bytes that are read of it.
READ_LIMITS = {
    CONFIG: limits.MAX_CONFIG_BYTES,
    CHAT_TEMPLATE: limits.MAX_TEMPLATE_BYTES,
    "trainer_state.json": limits.MAX_TRAINER_STATE_BYTES,
    "tokenizer.json": limits.MAX_TOKENIZER_BYTES,
    "added_tokens.json": limits.MAX_TOKENIZER_BYTES,
    WEIGHTS: limits.MAX_WEIGHT_BYTES,
}


_CHUNK = 2**20


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder whose shape is right, with its files open: it has a configuration and safetensors weights, all plain files."""

    path: Path
    files: Mapping[str, FileIO]
    passed_over: tuple[str, ...]

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
        InvalidArtifact: links, files over the limits, no safetensors weights, no configuration.
    """
    if not os.path.isdir(path):  # Path.is_dir raises where a name is too long
        raise NotFound(
            f"There is no folder {str(path)!r}; give the folder that PEFT's save_pretrained wrote.", code="no_folder"
        )
    problems: list[str] = []
    passed_over: list[str] = []
    files: dict[str, FileIO] = {}
    with ExitStack() as opened:
        place = _open_place(path, opened)
        for count, name in enumerate(sorted(os.listdir(place))):
            if count >= limits.MAX_FILES:
                raise InvalidArtifact(
                    [f"it holds more than {limits.MAX_FILES} files; publish the adapter's own folder"]
                )
            problem = _entry_problem(place, name)
            if problem:
                problems.append(problem)
            elif name in READ_LIMITS:
                file, problem = _open(place, name)
                if file is None or problem:
                    problems.append(problem)
                else:
                    files[name] = opened.enter_context(file)
            else:
                passed_over.append(name)
        problems.extend(_missing(set(files), passed_over, path))
        if problems:
            raise InvalidArtifact(problems, subject=f"The folder {str(path)!r}")
        yield Folder(path, files, tuple(passed_over))


def _open_place(path: Path, opened: ExitStack) -> int:
    """The folder itself, open: whoever puts another in its place changes nothing."""
    place = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    opened.callback(os.close, place)
    return place


def _entry_problem(place: int, name: str) -> str | None:
    mode = os.lstat(name, dir_fd=place)
    if stat.S_ISLNK(mode.st_mode):
        return f"{name!r} is a link; copy the file it points to into the folder"
    if name in READ_LIMITS and not stat.S_ISREG(mode.st_mode):
        return f"{name!r} is not a plain file"
    return size_problem(name, mode.st_size)


def _open(place: int, name: str) -> tuple[FileIO | None, str]:
    """The file, open for reading, or why it is refused. What it was a moment ago does not count."""
    try:
        # Not blocking: it may have become a pipe that nobody writes to.
        handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=place)
    except OSError as error:
        if error.errno == errno.ELOOP:
            return None, f"{name!r} is a link; copy the file it points to into the folder"
        raise
    file = os.fdopen(handle, "rb", buffering=0)
    found = os.fstat(handle)
    problem = "" if stat.S_ISREG(found.st_mode) else f"{name!r} is not a plain file"
    problem = problem or size_problem(name, found.st_size) or ""
    if problem:
        file.close()
    return file, problem


def size_problem(name: str, size: int) -> str | None:
    """Why a file of ``size`` bytes is refused, if so."""
    limit = READ_LIMITS.get(name)
    if limit is None or size <= limit:
        return None
    return f"{name!r} has {size} bytes; lorarack reads at most {limit}"


def weights_problem(names: Container[str]) -> str | None:
    """Why files of these ``names`` are no weights that can be kept, if so."""
    if WEIGHTS in names:
        return None
    pickled = next((name for name in _PICKLED_WEIGHTS if name in names), None)
    if pickled is None:
        return f"it has no {WEIGHTS}"
    return (
        f"its weights are a pickle ({pickled}), which can run code when opened; "
        "save them again with save_pretrained(…, safe_serialization=True)"
    )


def _missing(names: set[str], passed_over: list[str], path: Path) -> list[str]:
    problems = []
    if CONFIG not in names:
        problems.append(
            f"it has no {CONFIG}; give the folder that PEFT's save_pretrained wrote{_hint(passed_over, path)}"
        )
    wrong_weights = weights_problem(names.union(passed_over))
    if wrong_weights:
        problems.append(wrong_weights)
    return problems


def _hint(passed_over: list[str], path: Path) -> str:
    checkpoints = [name for name in passed_over if name.startswith("checkpoint-") and (path / name).is_dir()]
    return f", for example its {checkpoints[-1]!r}" if checkpoints else ""
