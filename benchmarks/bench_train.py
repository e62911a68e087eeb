"""What training and studies take, beside what a user would pick instead."""

import sys
from collections.abc import Callable, Sequence

from benchmarks.report import Row, report
from benchmarks.truncating import truncating

PARTS: dict[str, Callable[[], Sequence[Row]]] = {"truncating": truncating}


def main(asked: Sequence[str]) -> None:
    """Run the parts that are asked for, or all."""
    chosen = list(asked) or list(PARTS)
    unknown = [name for name in chosen if name not in PARTS]
    if unknown:
        sys.exit(f"no such part: {unknown[0]}; there are {', '.join(PARTS)}")
    report("train", [row for name in chosen for row in PARTS[name]()], _versions())


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("torch", "peft", "transformers")}


if __name__ == "__main__":
    main(sys.argv[1:])
