"""What is free: of the machine, of every control group around the process, of the memory nodes of its processors."""

import os
from pathlib import Path

import pytest

from lorarack.server.memory import Memory, read_memory

GIB = 2**30
MEMINFO = "MemTotal:       25165824 kB\nMemFree:         1048576 kB\nMemAvailable:   20971520 kB\nHugePages_Total:  0\n"


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """24 GiB, 20 of them free, no groups."""
    write(tmp_path / "proc/meminfo", MEMINFO)
    write(tmp_path / "proc/self/cgroup", "0::/\n")
    return tmp_path


def write(path: Path, text: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}")


def group(folder: Path, limit: object, used: int, cached: int = 0, version: int = 2) -> None:
    names = {2: ("memory.max", "memory.current"), 1: ("memory.limit_in_bytes", "memory.usage_in_bytes")}[version]
    write(folder / names[0], f"{limit}\n")
    write(folder / names[1], f"{used}\n")
    write(folder / "memory.stat", f"anon 5\n{'' if version == 2 else 'total_'}inactive_file {cached}\n")


def test_without_limits_it_is_the_machines(machine: Path) -> None:
    """Not its free pages: the file cache is given back."""
    assert read_memory(machine) == Memory(24 * GIB, 20 * GIB)
    group(machine / "sys/fs/cgroup", "max", 30 * GIB)
    assert read_memory(machine) == Memory(24 * GIB, 20 * GIB)


def test_a_containers_limit_counts_and_its_file_cache_does_not(machine: Path) -> None:
    """In a container the group's own folder is the top."""
    group(machine / "sys/fs/cgroup", 8 * GIB, 6 * GIB, cached=5 * GIB)
    assert read_memory(machine) == Memory(8 * GIB, 7 * GIB)


def test_the_tightest_group_above_the_process_counts(machine: Path) -> None:
    """A service's slice may be limited where the service is not."""
    write(machine / "proc/self/cgroup", "0::/a.slice/b.service\n")
    group(machine / "sys/fs/cgroup/a.slice", 4 * GIB, 1 * GIB)
    group(machine / "sys/fs/cgroup/a.slice/b.service", "max", 1 * GIB)
    assert read_memory(machine) == Memory(4 * GIB, 3 * GIB)


@pytest.mark.parametrize("line", ["4:memory:/a", "7:cpu,memory:/a"])
def test_groups_of_version_1(machine: Path, line: str) -> None:
    """No limit is a number near 2**63 there."""
    write(machine / "proc/self/cgroup", f"9:name=systemd:/x\n{line}\n0::/\n")
    top = machine / "sys/fs/cgroup/memory"
    group(top, 9223372036854771712, 9 * GIB, version=1)
    assert read_memory(machine) == Memory(24 * GIB, 20 * GIB)
    group(top / "a", 6 * GIB, 5 * GIB, cached=GIB, version=1)
    assert read_memory(machine) == Memory(6 * GIB, 2 * GIB)


def test_a_group_over_its_limit_leaves_nothing(machine: Path) -> None:
    group(machine / "sys/fs/cgroup", 2 * GIB, 3 * GIB)
    assert read_memory(machine) == Memory(2 * GIB, 0)


def test_each_worker_has_the_memory_of_one_node(machine: Path) -> None:
    """vLLM binds it there; only nodes of our own processors count, and one node is the machine."""
    nodes = machine / "sys/devices/system/node"
    mine = min(os.sched_getaffinity(0))

    def node(number: int, cpus: object, gib: int) -> None:
        write(nodes / f"node{number}/cpulist", f"{cpus}\n")
        free = f"Node {number} MemFree: {gib << 20} kB\nNode {number} Active(file): {1 << 20} kB\n"
        write(nodes / f"node{number}/meminfo", free)

    node(0, mine, 3)
    assert read_memory(machine) == Memory(24 * GIB, 20 * GIB)
    node(1, "5000-5009,6000", 9)
    found = read_memory(machine)
    assert found == Memory(24 * GIB, 20 * GIB, (4 * GIB,))
    assert (found.for_workers(1), found.for_workers(2), found.for_workers(9)) == (4 * GIB, 8 * GIB, 20 * GIB)


def test_where_it_cannot_be_told_it_is_not_guessed(tmp_path: Path) -> None:
    assert read_memory(tmp_path) is None


def test_this_machine() -> None:
    found = read_memory()
    assert found is not None
    assert 2**20 < found.free <= found.total
