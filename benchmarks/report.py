"""What a benchmark leaves: a table of ratios for people, then one line of JSON for programs."""

import json
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TextIO

_LIBRARIES = ("lorarack", "pydantic", "sqlalchemy", "typer", "numpy")


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement.

    ``ours`` and ``peer`` are texts with their units; ``peer`` is what ours is held against, in the same run. ``goal`` says in
    words what ``ratio`` (ours / peer, or peer / ours where the goal says so; None where the goal is absolute) must be.
    ``met`` is None where the row has no goal or could not be measured; ``note`` says why, or where the time goes.
    """

    what: str
    ours: str
    peer: str = ""
    ratio: float | None = None
    goal: str = ""
    met: bool | None = None
    note: str = ""


def report(name: str, rows: Sequence[Row], versions: dict[str, str] | None = None, to: TextIO | None = None) -> None:
    """Print the table and, as the last line, the JSON object."""
    to = to or sys.stdout
    header = ("what", "ours", "peer", "ratio", "goal", "met")
    lines = [header, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip(), file=to)
    for row in rows:
        if row.note:
            print(f"- {row.what}: {row.note}", file=to)
    found = {"python": platform.python_version(), **_installed(), **(versions or {})}
    print(json.dumps({"bench": name, "rows": [asdict(row) for row in rows], "versions": found}), file=to, flush=True)


def seconds(value: float) -> str:
    """``value`` seconds in the unit that suits it."""
    for unit, scale in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if value * scale >= 1:
            return f"{value * scale:.3g} {unit}"
    return f"{value * 1e9:.3g} ns"


def _cells(row: Row) -> tuple[str, ...]:
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    met = {None: "", True: "yes", False: "NO"}[row.met]
    return row.what, row.ours, row.peer, ratio, row.goal, met


def _installed() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
