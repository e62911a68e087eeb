"""``trainer_state.json``, which transformers' Trainer and TRL leave in a checkpoint folder, as metrics with steps."""

import json
import math

from lorarack.registry.artifact.folder import Folder
from lorarack.registry.values import Metric

#: The log's key and the split it belongs to; other keys are about the run, not about the model.
_KEYS = {"loss": "train", "eval_loss": "validation"}


def read_curves(folder: Folder) -> tuple[Metric, ...]:
    """Loss over steps on train and validation; empty when the file is missing or not what Trainer writes."""
    raw = folder.read("trainer_state.json")
    if raw is None:
        return ()
    try:
        state = json.loads(raw)
    except (ValueError, RecursionError):
        return ()
    history = state.get("log_history") if isinstance(state, dict) else None
    points = []
    for entry in history if isinstance(history, list) else ():
        match entry:
            case {"step": int(step), **rest} if step >= 0:
                for key, split in _KEYS.items():
                    value = rest.get(key)
                    if isinstance(value, int | float) and math.isfinite(value):
                        points.append(Metric(name="loss", split=split, value=float(value), step=step))
    return tuple(points)
