"""``make bench-registry``: the registry's speed, as ratios of things done in one run."""

import sys
from collections.abc import Callable

from benchmarks import against_mlflow, fuzz, publishing, resolving, searching, starting
from benchmarks.report import Row, report

PARTS: dict[str, Callable[[], list[Row]]] = {
    "resolving": resolving.rows,
    "publishing": publishing.rows,
    "searching": searching.rows,
    "starting": starting.rows,
    "mlflow": against_mlflow.rows,
    "fuzz": fuzz.rows,
}


def main(chosen: list[str]) -> None:
    """Run the ``chosen`` parts, or all."""
    rows = []
    for name in chosen or list(PARTS):
        print(f"{name} …", file=sys.stderr, flush=True)
        rows += PARTS[name]()
    report("registry", rows)


if __name__ == "__main__":
    main(sys.argv[1:])
