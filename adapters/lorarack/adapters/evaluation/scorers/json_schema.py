"""Whether an answer is JSON that a JSON Schema accepts."""

import json
from collections.abc import Callable
from pathlib import Path

from lorarack.registry.errors import NotFound, UsageError


def valid_under(path: str) -> Callable[[str, str], float]:
    """1 when the answer is JSON and valid under the schema in ``path``. The expected text does not matter.

    References to other documents are not followed.

    Raises:
        NotFound: no such file.
        UsageError: the file is not a JSON Schema, ``jsonschema`` is not installed, or (when called) a reference is unknown.
    """
    try:
        from jsonschema import SchemaError, validators
        from referencing import Registry
        from referencing.exceptions import Unresolvable
    except ImportError as error:
        raise UsageError(
            "--score json_schema needs the package 'jsonschema'; install it with: pip install 'lorarack[compare]'.",
            code="not_installed",
        ) from error
    try:
        schema = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise NotFound(f"The schema {path!r} cannot be read: {error.strerror}.", code="no_file") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"{path}: this is not JSON; give a file that holds a JSON Schema.", code="bad_score"
        ) from error
    kind = validators.validator_for(schema, default=validators.Draft202012Validator) if schema is not None else None
    try:
        if kind is None:
            raise SchemaError("null is not a schema")
        kind.check_schema(schema)
    except SchemaError as error:
        raise UsageError(f"{path} is not a JSON Schema: {error.message}.", code="bad_score") from error
    validator = kind(schema, registry=Registry())

    def score(answer: str, _: str) -> float:
        try:
            return float(validator.is_valid(json.loads(answer)))
        except (ValueError, RecursionError):
            return 0.0
        except Unresolvable as error:
            raise UsageError(f"{path}: {error.ref!r} refers to nothing in this schema.", code="bad_score") from error

    return score
