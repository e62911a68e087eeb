"""``lorarack list`` from a cold start next to the imports that it cannot do without."""

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.populate import populate
from benchmarks.report import Row, seconds
from benchmarks.timing import in_turns

GOAL = 2.0
_IMPORTS = "import pydantic, sqlalchemy, typer"


def rows(adapters: int = 20, *, times: int = 11) -> list[Row]:
    """One row; each run is a process of its own."""
    with TemporaryDirectory(prefix="lorarack-bench-") as home:
        populate(Path(home), adapters, 5)
        script = Path(sys.executable).with_name("lorarack")
        command = [str(script)] if script.exists() else [sys.executable, "-m", "lorarack.registry.cli.main"]
        taken = in_turns(
            {
                "list": lambda: _run([*command, "list", "--registry", home]),
                "imports": lambda: _run([sys.executable, "-c", _IMPORTS]),
            },
            times,
        )
    ratio = taken["list"] / taken["imports"]
    what = f"lorarack list, cold ÷ python -c '{_IMPORTS}'"
    return [Row(what, seconds(taken["list"]), seconds(taken["imports"]), ratio, "≤ 2", ratio <= GOAL)]


def _run(command: list[str]) -> None:
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True, env=os.environ)
