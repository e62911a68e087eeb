"""How much memory this process may still take: what the machine, its control groups and its memory nodes leave."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

#: Control groups of version 1 write "no limit" as a number near 2**63.
_NO_LIMIT = 2**60


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of memory.

    Attributes:
        total: what there is, or as much of it as the control group allows.
        free: what can be had without swapping.
        nodes: free bytes on each memory node whose processors this process may use; empty on machines with one node.
    """

    total: int
    free: int
    nodes: tuple[int, ...] = ()

    def for_workers(self, workers: int) -> int:
        """What ``workers`` engine processes can have together: vLLM binds each to one memory node."""
        return min(self.free, workers * min(self.nodes)) if self.nodes else self.free


def read_memory(root: Path = Path("/")) -> Memory | None:
    """The memory of the machine whose files are below ``root``; None where it cannot be read."""
    machine = _meminfo(root / "proc/meminfo")
    if not {"MemTotal", "MemAvailable"} <= machine.keys():
        return None
    total, free = machine["MemTotal"], machine["MemAvailable"]
    for limit, used in _limits(root):
        total, free = min(total, limit), min(free, max(0, limit - used))
    return Memory(total, free, tuple(min(free, node) for node in _nodes(root)))


def _limits(root: Path) -> Iterator[tuple[int, int]]:
    """Limit and use of each control group around this process that has a limit: its own and those above."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:
            yield from _walk(root / "sys/fs/cgroup", path, "memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            yield from _walk(root / "sys/fs/cgroup/memory", path, *names)


def _walk(top: Path, path: str, limit: str, use: str, cached: str) -> Iterator[tuple[int, int]]:
    """Inside a container the group's path is not visible below ``top``; ``top`` itself is the container's then."""
    parts = [part for part in path.split("/") if part and part != ".."]
    for folder in [top.joinpath(*parts[:depth]) for depth in range(len(parts) + 1)]:
        try:
            most = int((folder / limit).read_text())
            used = int((folder / use).read_text())
        except (OSError, ValueError):  # no such group here, or "max"
            continue
        if most < _NO_LIMIT:
            yield most, used - _stat(folder / "memory.stat").get(cached, 0)  # the kernel gives the file cache back


def _nodes(root: Path) -> list[int]:
    """Free bytes per memory node of our processors, where there are several nodes."""
    nodes = sorted((root / "sys/devices/system/node").glob("node[0-9]*"))
    if len(nodes) < 2:
        return []
    cores = os.sched_getaffinity(0)
    free = []
    for node in nodes:
        try:
            here = _numbers((node / "cpulist").read_text())
        except (OSError, ValueError):
            continue
        if cores.isdisjoint(here):
            continue
        found = _meminfo(node / "meminfo")
        names = ("MemFree", "Active(file)", "Inactive(file)", "SReclaimable")  # as vLLM counts
        free.append(sum(found.get(name, 0) for name in names))
    return free


def _meminfo(path: Path) -> dict[str, int]:
    """The values of a ``meminfo`` file in bytes; a node's has ``Node N`` before each name."""
    found = {}
    for words in _lines(path):
        if words[0] == "Node":
            words = words[2:]
        if len(words) >= 2 and words[0].endswith(":") and words[1].isdigit():
            found[words[0][:-1]] = int(words[1]) * 1024
    return found


def _stat(path: Path) -> dict[str, int]:
    return {words[0]: int(words[1]) for words in _lines(path) if len(words) == 2 and words[1].isdigit()}


def _lines(path: Path) -> list[list[str]]:
    try:
        return [line.split() for line in path.read_text().splitlines() if line.split()]
    except OSError:
        return []


def _numbers(ranges: str) -> Iterable[int]:
    """The numbers in ``0-3,8``."""
    for part in filter(None, ranges.strip().split(",")):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)
