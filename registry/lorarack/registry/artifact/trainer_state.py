"""``trainer_state.json``, which transformers' Trainer and TRL leave in a checkpoint folder, as metrics with steps."""

import json
import math

from lorarack.registry.artifact.folder import Folder
from lorarack.registry.artifact.strict_json import check_size
from lorarack.registry.values import MAX_STEP, Metric

#: The log's key and the split it belongs to; other keys are about the run, not about the model.
_KEYS = {"loss": "train", "eval_loss": "validation"}


def read_curves(folder: Folder) -> tuple[Metric, ...]:
    """Loss over steps on train and validation; empty when the file is missing or not what Trainer writes."""
    raw = folder.read("trainer_state.json")
    if raw is None:
        return ()
    try:
        check_size(raw)
        state = json.loads(raw)  # not strict: Trainer writes NaN where the loss was
    except (ValueError, RecursionError):
        return ()
    history = state.get("log_history") if isinstance(state, dict) else None
    points: list[Metric] = []
    for entry in history if isinstance(history, list) else ():
        match entry:
            case {"step": int(step), **rest} if _is_step(step):
                points.extend(
                    Metric(name="loss", split=split, value=value, step=step)
                    for key, split in _KEYS.items()
                    if (value := _loss(rest.get(key))) is not None
                )
    return tuple(points)


def _loss(value: object) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _is_step(number: int) -> bool:
    return not isinstance(number, bool) and 0 <= number <= MAX_STEP
