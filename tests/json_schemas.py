"""What each command may print with ``--json``: the schemas in the docs, to hold answers to."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

_FILE = Path(__file__).parents[1] / "docs" / "json-schemas.json"


@cache
def schemas() -> dict[str, Any]:
    """The whole document: ``commands`` by name, and what they share under ``$defs``."""
    found: dict[str, Any] = json.loads(_FILE.read_text())
    return found


def hold(command: str, data: Any) -> None:
    """Fail where ``data`` is not what ``command`` may print."""
    document = schemas()
    schema = {"$schema": document["$schema"], "$defs": document["$defs"], **document["commands"][command]}
    Draft202012Validator(schema).validate(data)
