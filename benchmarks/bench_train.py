"""``make bench-train``: what training and studies take, beside what a user would pick instead.

    python -m benchmarks.bench_train [truncating] [runs] [studies] [--base FOLDER] [--data ROWS.jsonl]

``runs`` and ``studies`` are beside TRL and want rows of prompt and completion, as E2E NLG's. Without ``--base`` it is the demo's.
"""

import argparse
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.against_trl import TrlMissing, runs, studies, trl_folder
from benchmarks.bench_cpu_lora import find_base
from benchmarks.report import Row, report
from benchmarks.truncating import truncating


def main() -> None:
    """Run the parts that are asked for, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="*", choices=[*PARTS, []], default=[])
    parser.add_argument("--base", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--steps", type=int, help="of a run; without it 12 in runs and 48 in studies")
    asked = parser.parse_args()
    rows = [row for part in asked.part or PARTS for row in PARTS[part](asked)]
    report("train", rows, {name: version(name) for name in ("torch", "peft", "transformers")})


def _beside_trl(measure: Callable[..., Sequence[Row]]) -> Callable[[Any], Sequence[Row]]:
    def part(asked: Any) -> Sequence[Row]:
        if asked.data is None:
            return [Row(f"TRL: {measure.__name__}", "", note="not measured: name rows with --data ROWS.jsonl")]
        try:
            trl_folder()
        except TrlMissing as error:
            return [Row(f"TRL: {measure.__name__}", "", note=f"not measured: {error}")]
        more = {"steps": asked.steps} if asked.steps else {}
        return measure(asked.base or find_base(), asked.data, **more)

    return part


PARTS: dict[str, Callable[[Any], Sequence[Row]]] = {
    "truncating": lambda asked: truncating(),
    "runs": _beside_trl(runs),
    "studies": _beside_trl(studies),
}


if __name__ == "__main__":
    main()
