"""Metrics that a training run logged: ``trainer_state.json`` of transformers' Trainer and TRL, or ms-swift's
``logging.jsonl``."""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import BufferedReader, FileIO
from itertools import zip_longest
from typing import Any, TypeGuard

from lorarack.registry.artifact.folder import Folder
from lorarack.registry.artifact.manifest import WEIGHTS
from lorarack.registry.disk import open_plain
from lorarack.registry.errors import StoreError
from lorarack.registry.texts import check_size
from lorarack.registry.values import MAX_STEP, Metric

#: The log's key and the split it belongs to; other keys are about the run, not about the model.
_KEYS = {"loss": "train", "eval_loss": "validation"}

#: The files of a folder that say something of its run.
RUN_FILES = frozenset({"trainer_state.json", "logging.jsonl"})

#: Files that only a checkpoint has: its weights are those of the last step, not of the best one.
_CHECKPOINT_FILES = ("optimizer.pt", "optimizer.bin", "scheduler.pt", "scaler.pt", "rng_state.pth", "latest")
_CHECKPOINT = re.compile(r"checkpoint-(\d+)")
_LINES = 1_000_000
_PIECE = 2**20


@dataclass(frozen=True, slots=True)
class Run:
    """Loss at steps on train and validation; and the validation loss of the weights themselves, where it was measured."""

    curves: tuple[Metric, ...] = ()
    final: Metric | None = None
    note: str | None = None


def read_run(folder: Folder) -> Run:
    """The metrics that the run which wrote ``folder`` logged; empty if there are none that can be read."""
    state = _state(folder)
    history = state.get("log_history")
    points = tuple(_points(history if isinstance(history, list) else ()))
    step, which = _step_of_weights(folder, state)
    measured = [point for point in points if point.split == "validation" and point.step == step]
    if not measured:
        return Run(points)
    final = measured[-1].model_copy(update={"step": None})
    note = f"Its {final.label} is {final.value:g}, measured at step {step}, {which}; --metric {final.label}=… says another."
    return Run(points, final, note)


def _state(folder: Folder) -> dict[str, Any]:
    raw = folder.read("trainer_state.json")
    if raw is None:
        logged = list(_logged(folder.read("logging.jsonl")))
        steps = [entry["step"] for entry in logged if _is_step(entry.get("step"))]
        return {"log_history": logged, "global_step": max(steps, default=None)}
    try:
        check_size(raw)
        state = json.loads(raw)  # not strict: Trainer writes NaN where the loss was
    except (ValueError, RecursionError):
        return {}
    return state if isinstance(state, dict) else {}


def _logged(raw: bytes | None) -> Iterator[dict[str, Any]]:
    """The entries of ms-swift's log; it says "5/100" where Trainer says step 5."""
    for line in (raw or b"").splitlines()[:_LINES]:
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if not isinstance(entry, dict):
            continue
        of_all = entry.get("global_step/max_steps")
        if "step" not in entry and isinstance(of_all, str) and re.fullmatch(r"[0-9]{1,15}/[0-9]{1,15}", of_all):
            entry["step"] = int(of_all.partition("/")[0])
        yield entry


def _points(history: Iterable[Any]) -> Iterator[Metric]:
    for entry in history:
        match entry:
            case {"step": int(step), **rest} if _is_step(step):
                for key, split in _KEYS.items():
                    value = _loss(rest.get(key))
                    if value is not None:
                        yield Metric(name="loss", split=split, value=value, step=step)


def _step_of_weights(folder: Folder, state: Mapping[str, Any]) -> tuple[int | None, str]:
    """The step that the weights in ``folder`` are of, and what tells.

    A checkpoint has those of its own step. Elsewhere Trainer leaves the last step's weights, or the best checkpoint's where it
    was told to load that at the end; it names a best one only where it was told what makes one.
    """
    named = _CHECKPOINT.fullmatch(folder.path.resolve().name)
    if named:
        return int(named[1][:15]), "that of the checkpoint"
    last = state.get("global_step")
    if not _is_step(last):
        return None, ""
    if any(name in folder.ignored for name in _CHECKPOINT_FILES):
        return last, "that of the checkpoint"
    best = _best_step(state)
    if best is None or best == last or not _may_be(folder, best):
        return last, "the last"
    return best, "the best, which Trainer loads at the end"


def _best_step(state: Mapping[str, Any]) -> int | None:
    best = state.get("best_global_step")
    if _is_step(best):
        return best
    named = _CHECKPOINT.search(str(state.get("best_model_checkpoint") or ""))
    return int(named[1][:15]) if named else None


def _may_be(folder: Folder, step: int) -> bool:
    """Whether the weights are those of the checkpoint of ``step``; True as well where that is gone."""
    try:
        with open_plain(folder.path / f"checkpoint-{step}" / WEIGHTS) as other:
            folder.weights.seek(0)
            return all(one == two for one, two in zip_longest(_pieces(folder.weights), _pieces(other), fillvalue=b""))
    except (OSError, StoreError):
        return True


def _pieces(file: FileIO | BufferedReader) -> Iterator[bytes]:
    return iter(lambda: file.read(_PIECE), b"")


def _loss(value: object) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _is_step(number: object) -> TypeGuard[int]:
    return isinstance(number, int) and not isinstance(number, bool) and 0 <= number <= MAX_STEP
