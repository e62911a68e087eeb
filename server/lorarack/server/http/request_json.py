"""The body of a request as JSON, within limits."""

import json
from typing import Any

from lorarack.registry.errors import UsageError

#: The largest body. The longest prompts take some MiB, pictures some tens.
MAX_BODY_BYTES = 64 << 20
#: How deeply lists and objects may be nested: vLLM walks a body recursively, in Python.
MAX_NESTING = 200


def json_object(body: bytes) -> dict[str, Any] | None:
    """The object in ``body``; None when it is not JSON, or JSON of another kind.

    Raises:
        UsageError: it is nested too deeply.
    """
    try:
        document = json.loads(body)
    except ValueError:
        return None
    except RecursionError:
        raise _too_deep() from None
    # Counting bytes is quick, walking is not; text has few brackets.
    if body.count(b"[") + body.count(b"{") > MAX_NESTING and _levels(document) > MAX_NESTING:
        raise _too_deep()
    return document if isinstance(document, dict) else None


def _levels(document: Any) -> int:
    level, here = 0, [document]
    while here and level <= MAX_NESTING:
        containers = [node for node in here if isinstance(node, list | dict)]
        here = [inner for node in containers for inner in (node.values() if isinstance(node, dict) else node)]
        level += bool(containers)
    return level


def _too_deep() -> UsageError:
    return UsageError(f"The body is nested more than {MAX_NESTING} levels deep; send it flatter.", code="bad_request")
