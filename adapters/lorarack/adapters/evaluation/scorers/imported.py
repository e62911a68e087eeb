"""A scorer of one's own, named by import path: ``module:function``."""

import importlib
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lorarack.registry.errors import UsageError


def imported(path: str) -> tuple[Callable[[str, str], float], bool]:
    """The function of ``module:function``, checked on each call, and whether more is better.

    It is called with the answer and the expected text and returns a number: from 0 to 1, or any from 0 on where it has the
    attribute ``higher_is_better = False``. Modules in the current folder are found.

    Raises:
        UsageError: nothing callable has that import path, or (when called) it raises or returns no such number.
    """
    module, _, name = path.partition(":")
    function = _find(path, module, name)
    higher = bool(getattr(function, "higher_is_better", True))

    def score(answer: str, expected: str) -> float:
        try:
            value = function(answer, expected)
        except Exception as error:
            raise UsageError(f"The scorer {path} raised {type(error).__name__}: {error}.", code="bad_score") from error
        if (
            not isinstance(value, int | float)
            or not math.isfinite(value)
            or not 0 <= value <= (1 if higher else math.inf)
        ):
            wanted = "a number from 0 to 1" if higher else "a number from 0 on"
            raise UsageError(f"The scorer {path} returned {value!r:.60}, and must return {wanted}.", code="bad_score")
        return float(value)

    return score, higher


def _find(path: str, module: str, name: str) -> Any:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except Exception as error:
        raise UsageError(
            f"The scorer {path!r} cannot be imported ({type(error).__name__}: {error}); write MODULE:FUNCTION.",
            code="unknown_score",
        ) from error
    if not callable(found):
        raise UsageError(f"The scorer {path!r} is not a function; write MODULE:FUNCTION.", code="unknown_score")
    return found
