"""What a folder from PEFT, transformers' Trainer or TRL holds: what is kept, what is passed over, what is refused.

Only names and sizes are looked at here; nothing but the configuration and small text files is read.
"""

import os
import stat
from collections.abc import Container
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder whose shape is right: it has a configuration and safetensors weights, all plain files."""

    path: Path
    weights_bytes: int
    names: frozenset[str]
    passed_over: tuple[str, ...]

    def read(self, name: str) -> bytes | None:
        """A small file's bytes, or None when the folder has no such file."""
        return (self.path / name).read_bytes() if name in self.names else None


def look_into(path: Path) -> Folder:
    """Check the shape of ``path``.

    Raises:
        NotFound: no such folder.
        InvalidArtifact: links, files over the limits, no safetensors weights, no configuration.
    """
    if not os.path.isdir(path):  # Path.is_dir raises where a name is too long
        raise NotFound(
            f"There is no folder {str(path)!r}; give the folder that PEFT's save_pretrained wrote.", code="no_folder"
        )
    problems: list[str] = []
    names: set[str] = set()
    passed_over: list[str] = []
    for count, entry in enumerate(sorted(path.iterdir())):
        if count >= limits.MAX_FILES:
            raise InvalidArtifact([f"it holds more than {limits.MAX_FILES} files; publish the adapter's own folder"])
        problem = _entry_problem(entry)
        if problem:
            problems.append(problem)
        elif entry.name in READ_LIMITS:
            names.add(entry.name)
        else:
            passed_over.append(entry.name)
    problems.extend(_missing(names, passed_over, path))
    if problems:
        raise InvalidArtifact(problems, subject=f"The folder {str(path)!r}")
    return Folder(path, (path / WEIGHTS).stat().st_size, frozenset(names), tuple(passed_over))


def _entry_problem(entry: Path) -> str | None:
    mode = entry.lstat()
    if stat.S_ISLNK(mode.st_mode):
        return f"{entry.name!r} is a link; copy the file it points to into the folder"
    if entry.name in READ_LIMITS and not stat.S_ISREG(mode.st_mode):
        return f"{entry.name!r} is not a plain file"
    return size_problem(entry.name, mode.st_size)


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
