"""The folder of a run: what was asked for, how far each rank has come, and where it can go on.

``recipe.yaml`` and ``run.json`` say what the run is; ``curves.jsonl`` is its log; ``rank-16/step-40`` is a checkpoint, which has
its name only once it is whole and on the disk.
"""

import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from lorarack.adapters.recipe import Recipe, parse_recipe
from lorarack.adapters.training.inputs import Inputs
from lorarack.adapters.training.progress import TrainingProgress
from lorarack.adapters.training.provenance import software
from lorarack.registry.disk import lock_file
from lorarack.registry.errors import Conflict, NotFound, UsageError
from lorarack.registry.settings import home_folder

#: The tag under which a version says which run made it.
RUN_TAG = "run"

_FORMAT = 1
#: How the folder of a whole checkpoint is called; what is called otherwise is none.
_STEP = re.compile(r"step-(\d+)", re.ASCII)
_RECIPE, _RUN, _CURVES, _LOCK = "recipe.yaml", "run.json", "curves.jsonl", "lock"


class RunFolder:
    """One run. ``create`` or ``open`` makes it; one process at a time works in it."""

    def __init__(self, path: Path, run: dict[str, Any]) -> None:
        self.path = path
        self._run = run

    @classmethod
    def create(cls, path: Path, recipe: Recipe) -> Self:
        """A new run.

        Raises:
            Conflict: the folder holds something already.
            UsageError: the folder cannot be made.
        """
        try:
            path.mkdir(parents=True, exist_ok=True)
            if any(path.iterdir()):
                raise Conflict(
                    f"The folder {str(path)!r} is not empty; name another one, or go on with the run in it with --resume.",
                    code="run_exists",
                )
            (path / _RECIPE).write_text(recipe.to_yaml(), encoding="utf-8")
        except OSError as error:
            raise UsageError(f"No run can be kept in {str(path)!r}: {error.strerror}.", code="bad_run") from error
        run = cls(path, {"format": _FORMAT, "id": secrets.token_hex(6), "ranks": {}})
        run._write()
        return run

    @classmethod
    def open(cls, path: Path) -> Self:
        """A run that began earlier.

        Raises:
            NotFound: no run is there.
            UsageError: what is there is no run that this release can go on with.
        """
        try:
            found = json.loads((path / _RUN).read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NotFound(f"There is no run in {str(path)!r}; it holds no {_RUN}.", code="no_run") from error
        except (OSError, ValueError) as error:
            raise UsageError(f"The run in {str(path)!r} cannot be read; begin a new one.", code="bad_run") from error
        if not isinstance(found, dict) or found.get("format") != _FORMAT:
            raise UsageError(f"The run in {str(path)!r} is of another release; begin a new one.", code="bad_run")
        kinds = {"id": str, "ranks": dict, "facts": dict}
        if any(not isinstance(found.get(key, {} if key == "facts" else None), kind) for key, kind in kinds.items()):
            raise UsageError(f"The {_RUN} of the run in {str(path)!r} is damaged; begin a new one.", code="bad_run")
        return cls(path, found)

    @property
    def id(self) -> str:
        """What its versions are tagged with."""
        return str(self._run.get("id"))

    @property
    def recipe(self) -> Recipe:
        """The recipe of the run. Raises ``UsageError``."""
        try:
            return parse_recipe((self.path / _RECIPE).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            said = f"The recipe of the run in {str(self.path)!r} cannot be read; begin a new run."
            raise UsageError(said, code="bad_run") from error

    @property
    def facts(self) -> Mapping[str, Any]:
        """What must not change while the run goes on; empty at first."""
        found: Mapping[str, Any] = self._run.get("facts", {})
        return found

    def keep_facts(self, facts: Mapping[str, Any]) -> None:
        """Write down what must not change."""
        self._run["facts"] = dict(facts)
        self._write()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Work in the folder.

        Raises:
            Conflict: another process does.
        """
        said = f"Another process works on the run in {str(self.path)!r}; wait for it, or stop it."
        with lock_file(self.path / _LOCK, Conflict(said, code="run_busy")):
            yield

    def mark_published(self, rank: int, reference: str) -> None:
        """Write down that the version of ``rank`` is published; its checkpoints are needed no more."""
        self._run["ranks"][str(rank)] = reference
        self._write()
        shutil.rmtree(self._of(rank), ignore_errors=True)

    def checkpoint(self, rank: int) -> Path | None:
        """The newest whole checkpoint of ``rank``.

        Raises:
            UsageError: a folder beside it has a name that no checkpoint has.
        """
        for path in self._of(rank).glob("step-*"):
            if not path.suffix and not _STEP.fullmatch(path.name):
                raise UsageError(f"{str(path)!r} is no checkpoint of this run; remove it.", code="bad_run")
        return max(self._checkpoints(rank), key=_step, default=None)

    def write_checkpoint(self, rank: int, step: int, write: Callable[[Path], None]) -> None:
        """Let ``write`` fill a folder, and make that the checkpoint of ``rank`` in the place of all earlier ones."""
        older = self._checkpoints(rank)
        final = self._of(rank) / f"step-{step}"
        partial = final.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        write(partial)
        for path in [*partial.iterdir(), partial]:
            _sync(path)
        partial.rename(final)
        _sync(final.parent)
        for path in older:
            shutil.rmtree(path)

    def log(self, entry: Mapping[str, Any]) -> None:
        """A line of the curves."""
        with (self.path / _CURVES).open("a", encoding="utf-8") as file:
            file.write(json.dumps(dict(entry)) + "\n")

    def rewind_log(self, rank: int, step: int) -> None:
        """Take back what was logged of ``rank`` after ``step``: it comes again."""
        path = self.path / _CURVES
        if path.exists():
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
            _replace(path, "".join(line for line in lines if not _is_after(line, rank, step)))

    def drop_checkpoints(self) -> None:
        """Remove the checkpoints of all ranks."""
        for path in self.path.glob("rank-*"):
            shutil.rmtree(path, ignore_errors=True)

    def _of(self, rank: int) -> Path:
        return self.path / f"rank-{rank}"

    def _checkpoints(self, rank: int) -> list[Path]:
        return [path for path in self._of(rank).glob("step-*") if _STEP.fullmatch(path.name)]

    def _write(self) -> None:
        _replace(self.path / _RUN, json.dumps(self._run, indent=2) + "\n")


def new_run_folder(name: str) -> Path:
    """A place for a run of the adapter ``name`` in the home folder."""
    return home_folder() / "runs" / f"{name}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.getpid()}"


def check_same_run(run: RunFolder, inputs: Inputs, progress: TrainingProgress) -> None:
    """Hold what a run is taken up with against what it began with; other package versions are reported.

    Raises:
        UsageError: settings, base or rows are others, or something else lies among the checkpoints.
    """
    for rank in inputs.recipe.ranks:
        run.checkpoint(rank)
    before = run.facts
    if before.get("family") != inputs.family:
        raise UsageError(
            f"The rows, the base or the settings are not those that the run in {str(run.path)!r} began with; begin a new run.",
            code="other_run",
        )
    known = before.get("software")
    known = known if isinstance(known, dict) else {}
    changed = {name: now for name, now in software().items() if known.get(name) != now}
    if changed:
        progress.note(
            f"The run began with other versions of {', '.join(sorted(changed))}: its weights may not be what they would have been."
        )


def _step(path: Path) -> int:
    return int(path.name.removeprefix("step-"))


def _is_after(line: str, rank: int, step: int) -> bool:
    try:
        entry = json.loads(line)
    except ValueError:  # cut off when the process was killed
        return True
    if not isinstance(entry, dict) or not all(isinstance(entry.get(key), int) for key in ("rank", "step")):
        return True  # damaged: it says nothing of any rank
    return bool(entry["rank"] == rank and entry["step"] > step)


def _replace(path: Path, text: str) -> None:
    beside = path.with_name(f"{path.name}.partial")
    beside.write_text(text, encoding="utf-8")
    _sync(beside)
    beside.replace(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
