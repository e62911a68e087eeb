"""Nothing outlives a server that is killed: real processes, killed at any moment."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SERVER = """
import multiprocessing, os, pathlib, subprocess, sys, time
from lorarack.server.process.parent_death import die_with_parent, reaper

def bound(path):
    die_with_parent(os.getppid())
    os.environ["WORD"] = ""
    pathlib.Path(path).write_text(str(os.getpid()))
    time.sleep(600)

if __name__ == "__main__":
    word, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    os.environ["LORARACK_WORD"] = word
    with reaper(word):
        begun = [
            # A compiler's process, its child, and one that leaves group and session.
            subprocess.Popen(["sleep", "600"]),
            subprocess.Popen(["sh", "-c", "sleep 600 & wait"]),
            subprocess.Popen(["sleep", "600"], start_new_session=True),
        ]
        for method in ("spawn", "fork"):
            process = multiprocessing.get_context(method).Process(target=bound, args=(str(folder / method),))
            process.start()
            begun.append(process)
        while not all((folder / method).exists() for method in ("spawn", "fork")):
            time.sleep(0.01)
        (folder / "pids").write_text(" ".join(str(process.pid) for process in begun))
        (folder / "ready").touch()
        if sys.argv[3] == "wait":
            time.sleep(600)
    for process in begun:
        process.kill()
"""


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def with_word(word: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if word.encode() in (entry / "environ").read_bytes() and running(int(entry.name)):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def gone(pids: list[int], word: str, seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not any(map(running, pids)) and not with_word(word):
            return True
        time.sleep(0.05)
    return False


def start(tmp_path: Path, then: str) -> "subprocess.Popen[bytes]":
    script = tmp_path / "server.py"
    script.write_text(SERVER)
    return subprocess.Popen([sys.executable, script, str(tmp_path), str(tmp_path), then])


def pids(tmp_path: Path, process: "subprocess.Popen[bytes]") -> list[int]:
    end = time.monotonic() + 60
    while not (tmp_path / "ready").exists():
        assert time.monotonic() < end
        assert process.poll() is None
        time.sleep(0.01)
    return [int(pid) for pid in (tmp_path / "pids").read_text().split()]


def test_a_killed_server_leaves_nothing(tmp_path: Path) -> None:
    """Children, grandchildren, spawned and forked ones, and one in a session of its own."""
    process = start(tmp_path, "wait")
    left = pids(tmp_path, process)
    assert all(map(running, left))
    process.kill()
    process.wait()
    assert gone(left, str(tmp_path))


@pytest.mark.parametrize("after", [0.02, 0.1, 0.2, 0.3, 0.5, 0.8])
def test_killed_while_it_starts_it_leaves_nothing(tmp_path: Path, after: float) -> None:
    process = start(tmp_path, "wait")
    time.sleep(after)
    process.kill()
    process.wait()
    assert gone([], str(tmp_path))


def test_killed_with_its_whole_group(tmp_path: Path) -> None:
    """As a terminal or a supervisor does: what keeps watch is in no group of the server's."""
    script = tmp_path / "server.py"
    script.write_text(SERVER)
    process = subprocess.Popen([sys.executable, script, str(tmp_path), str(tmp_path), "wait"], start_new_session=True)
    left = pids(tmp_path, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert gone(left, str(tmp_path))


def test_in_an_orderly_end_nobody_is_missed(tmp_path: Path) -> None:
    """What keeps watch has ended when the server has."""
    process = start(tmp_path, "end")
    assert process.wait(60) == 0
    assert gone([], str(tmp_path), 5)


def test_other_processes_are_left_alone(tmp_path: Path) -> None:
    other = subprocess.Popen(["sleep", "600"], env={**os.environ, "LORARACK_WORD": "another server's"})
    try:
        process = start(tmp_path, "wait")
        left = pids(tmp_path, process)
        process.kill()
        process.wait()
        assert gone(left, str(tmp_path))
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_who_begins_after_its_parents_death_ends(tmp_path: Path) -> None:
    """The parent was gone before the kernel was asked."""
    code = "from lorarack.server.process.parent_death import die_with_parent; die_with_parent(1 << 22); print('alive')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
