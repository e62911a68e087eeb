"""The data files of a folder, and which split each holds by its name."""

import re
from pathlib import Path

from lorarack.registry.errors import NotFound, UsageError

#: What data files are called.
SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")

#: Names of splits in use, by what they are for.
SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev", "eval"),
    "test": ("test", "testing", "heldout"),
}
#: JSON beside data that holds none.
_NOT_DATA = frozenset({"dataset_infos.json", "dataset_info.json", "dataset_dict.json", "state.json"})


def split_files(folder: Path, split: str | None, role: str) -> list[Path]:
    """The files of one split in order; files whose names say nothing are for training.

    Raises:
        NotFound: the folder has none.
        UsageError: they are of several kinds.
    """
    name = folder.resolve().name
    files = [path for path in sorted([*folder.glob("*"), *folder.glob("*/*")]) if _is_data(path, folder)]
    if not files:
        raise NotFound(f"The folder {name!r} holds no data file; they end in {', '.join(SUFFIXES)}.", code="no_data")
    named = {path: split_of(path.relative_to(folder)) for path in files}
    wanted = [
        path
        for path, role_of in named.items()
        if (split in _words(str(path.relative_to(folder))) if split else role_of == role)
    ]
    if not wanted and not split and role == "train" and not any(named.values()):
        wanted = files
    if not wanted:
        raise NotFound(
            f"The folder {name!r} has no {split or role} rows; it holds {', '.join(path.name for path in files[:8])}.",
            code="no_split",
        )
    if len({path.suffix.lower() for path in wanted}) > 1:
        raise UsageError(
            f"In {name}, {wanted[0].name} and {wanted[-1].name} both hold {split or role} rows; name one of them.",
            code="bad_data",
        )
    return wanted


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


def _words(text: str) -> set[str]:
    return {*re.split(r"[^a-z0-9]+", text.lower()), *re.split(r"[^a-z0-9_]+", text.lower())}


def _is_data(path: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    return not hidden and path.suffix.lower() in SUFFIXES and path.name not in _NOT_DATA and path.is_file()
