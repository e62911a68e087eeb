"""The data files of a folder, and which split each holds by its name."""

import re
from pathlib import Path

from lorarack.registry.errors import NotFound, UsageError

#: What data files are called.
SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")

#: Names of splits in use, by what they are for.
SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev", "eval", "evaluation", "development"),
    "test": ("test", "testing", "heldout", "held_out", "holdout"),
}
#: JSON beside data that holds none.
_NOT_DATA = frozenset({"dataset_infos.json", "dataset_info.json", "dataset_dict.json", "state.json"})


def split_files(folder: Path, split: str | None, role: str) -> list[Path]:
    """The files of one split in order.

    Files whose names say nothing are for training where no file is named so; where no file's name says anything, they are
    what the folder was named for.

    Raises:
        NotFound: the folder has none.
        UsageError: they are of several kinds, or it is not clear what a file is for.
    """
    named = _named(folder)
    wanted = _of_split(folder, named, split) if split else _of_role(folder, named, role)
    if not wanted and not split and not any(named.values()):
        wanted = [*named]
    if not wanted:
        holds = ", ".join(path.name for path in [*named][:8])
        raise NotFound(
            f"The folder {folder.resolve().name!r} has no {split or role} rows; it holds {holds}.", code="no_split"
        )
    if len({path.suffix.lower() for path in wanted}) > 1:
        raise UsageError(
            f"In {folder.resolve().name}, {wanted[0].name} and {wanted[-1].name} both hold {split or role} rows; name one of "
            "them.",
            code="bad_data",
        )
    return wanted


def names_split(folder: Path, split: str | None, role: str) -> bool:
    """Whether a file of the folder is said to hold this split, by its name.

    Raises:
        NotFound: the folder holds no data.
        UsageError: it is not clear what a file is for.
    """
    named = _named(folder)
    return bool(_of_split(folder, named, split) if split else _of_role(folder, named, role))


def split_of(path: Path) -> str | None:
    """What the rows of a file are for, by its name, else by its folder's."""
    for part in (path.stem, *path.parts[-2::-1]):
        words = _words(part)
        if found := next((role for role, names in SPLITS.items() if words & {*names}), None):
            return found
    return None


def pick_split(names: list[str], split: str | None, role: str) -> str | None:
    """The split that is named, or that ``role`` suggests; the only one, for training."""
    if split is not None:
        return split if split in names else None
    suggested = [name for wanted in SPLITS[role] for name in names if name == wanted]
    return next(iter(suggested), names[0] if role == "train" and len(names) == 1 else None)


def _named(folder: Path) -> dict[Path, str | None]:
    """The folder's data files in order, each with what its name says that it is for."""
    files = [path for path in sorted([*folder.glob("*"), *folder.glob("*/*")]) if _is_data(path, folder)]
    if not files:
        name = folder.resolve().name
        raise NotFound(f"The folder {name!r} holds no data file; they end in {', '.join(SUFFIXES)}.", code="no_data")
    return {path: split_of(path.relative_to(folder)) for path in files}


def _of_split(folder: Path, named: dict[Path, str | None], split: str) -> list[Path]:
    return [path for path in named if split in _words(str(path.relative_to(folder)))]


def _of_role(folder: Path, named: dict[Path, str | None], role: str) -> list[Path]:
    unnamed = [path for path, found in named.items() if found is None]
    if not unnamed or not any(named.values()):
        return [path for path, found in named.items() if found == role]
    if "train" in named.values():
        file = unnamed[0].relative_to(folder).as_posix()
        raise UsageError(
            f"In {folder.resolve().name}, it is not clear what the rows of {file} are for, beside files for training; put train, "
            "validation or test into its name, or move it elsewhere.",
            code="bad_data",
        )
    return unnamed if role == "train" else [path for path, found in named.items() if found == role]


def _words(text: str) -> set[str]:
    """The words of a name: with digits, without, and with underscores."""
    lower = text.lower()
    return {word for kept in ("a-z0-9", "a-z", "a-z0-9_") for word in re.split(f"[^{kept}]+", lower)}


def _is_data(path: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    return not hidden and path.suffix.lower() in SUFFIXES and path.name not in _NOT_DATA and path.is_file()
