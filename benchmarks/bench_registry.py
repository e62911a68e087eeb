"""``make bench-registry``: the registry's speed, as ratios of things done in one run."""

import argparse
import sys
from collections.abc import Callable

from benchmarks import against_mlflow, fuzz, publishing, resolving, searching, starting, storming
from benchmarks.report import Row, report

PARTS: dict[str, Callable[[], list[Row]]] = {
    "resolving": resolving.rows,
    "publishing": publishing.rows,
    "searching": searching.rows,
    "starting": starting.rows,
    "storm": storming.rows,
    "mlflow": against_mlflow.rows,
    "fuzz": fuzz.rows,
}


def main() -> None:
    """Run the parts that the command line names, or all."""
    parser = argparse.ArgumentParser(description="The registry's speed, as ratios of things done in one run.")
    parser.add_argument("part", nargs="*", help="run these parts only")
    rows: list[Row] = []
    chosen = parser.parse_args().part
    if unknown := set(chosen) - PARTS.keys():
        parser.error(f"there is no part {min(unknown)!r}; there are {', '.join(PARTS)}")
    for name in chosen or PARTS:
        print(f"{name} …", file=sys.stderr, flush=True)
        rows += PARTS[name]()
    report("registry", rows)


if __name__ == "__main__":
    main()
