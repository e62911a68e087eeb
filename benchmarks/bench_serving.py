"""``make bench-serving``: what serving many adapters costs, as ratios of servers and traffics that take turns in one run."""

import argparse
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.bench_cpu_lora import versions
from benchmarks.report import Row, report
from benchmarks.serving.cold import cold, cold_plain
from benchmarks.serving.flip import flip
from benchmarks.serving.llama_cpp import llama_cpp
from benchmarks.serving.overhead import overhead
from benchmarks.serving.place import Place, make_place
from benchmarks.serving.prediction import prediction
from benchmarks.serving.queue_cost import queue_cost
from benchmarks.serving.rotation import evictions, rotation

PARTS: dict[str, Callable[[Place, int], list[Row]]] = {
    "overhead": overhead,
    "rotation": rotation,
    "evictions": evictions,
    "cold": cold,
    "plain": cold_plain,
    "flip": flip,
    "queue": queue_cost,
    "plan": prediction,
    "llama": llama_cpp,
}


def main() -> None:
    """Run the parts that the command line names, or all."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that servers are stopped
    parser = argparse.ArgumentParser(description="Serving many adapters: ratios measured in one run.")
    parser.add_argument("part", nargs="*", help=f"run these only: {', '.join(PARTS)}")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each comparison")
    given = parser.parse_args()
    if unknown := set(given.part) - PARTS.keys():
        parser.error(f"there is no part {min(unknown)!r}; there are {', '.join(PARTS)}")
    begin, found = time.perf_counter(), list[Row]()
    with TemporaryDirectory(prefix="lorarack-bench-") as folder:
        place = make_place(Path(folder))
        for name in given.part or PARTS:
            print(f"{name} …", file=sys.stderr, flush=True)
            rows = PARTS[name](place, given.rounds)
            for row in rows:
                print(f"  {row.what}: {row.ours} against {row.peer}", file=sys.stderr, flush=True)
            found += rows
    print(f"{(time.perf_counter() - begin) / 60:.0f} minutes", file=sys.stderr)
    report("serving", found, versions())


if __name__ == "__main__":
    main()
