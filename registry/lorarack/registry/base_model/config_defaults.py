"""What a configuration means where it leaves a key out: transformers' own defaults, kept as data so that torch is not needed."""

import json
from functools import cache
from importlib.resources import files
from typing import Any


def defaults_of(model_type: str) -> dict[str, Any]:
    """Default by key for a ``model_type``, or ``TYPE.KEY`` for the nested configuration under KEY; empty for an unknown one."""
    found = _table().get(model_type, {})
    return found if isinstance(found, dict) else {}


@cache
def _table() -> dict[str, Any]:
    data: dict[str, Any] = json.loads(
        files("lorarack.registry.base_model").joinpath("config_defaults.json").read_text()
    )
    return dict(data["defaults"])
