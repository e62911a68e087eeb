"""What is read of a tiny adapter's configuration, after changes."""

import json
from typing import Any

from tests.tiny import adapter_config

from lorarack.registry.artifact.adapter_config import parse_config
from lorarack.registry.artifact.peft_config import PeftConfig


def parsed(**changes: Any) -> PeftConfig:
    config, _, problems = parse_config(json.dumps(adapter_config() | changes).encode())
    assert problems == []
    assert config is not None
    return config


def problems_of(raw: bytes | None = None, **changes: Any) -> str:
    """The one problem of the configuration; it is then not to be used."""
    raw = json.dumps(adapter_config() | changes).encode() if raw is None else raw
    config, _, problems = parse_config(raw)
    assert config is None
    assert len(problems) == 1, problems
    return problems[0]
