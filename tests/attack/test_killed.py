"""A server that is killed, or whose engine is, leaves nothing running; and a supervisor sees that it has failed."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.server.test_parent_death import gone, running
from tests.system.server import Server
from tests.system.session_server import BASE

from lorarack.registry import open_registry

pytestmark = [pytest.mark.system, pytest.mark.long]

FLAGS = ("--kv-cache-memory-bytes", "64M", "--max-model-len", "64", "--max-num-seqs", "2")


@pytest.fixture
def home(small_base: Path, tmp_path: Path) -> Path:
    with open_registry(tmp_path / "home") as registry:
        registry.add_base(str(small_base), BASE)
    return tmp_path / "home"


def below(pid: int) -> set[int]:
    """Every process below ``pid``."""
    try:
        found = {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}
    except OSError:
        return set()
    return found.union(*(below(child) for child in found))


def engine_of(server: Server) -> int:
    """The engine's process: the one below the server that takes the most memory."""

    def pages(pid: int) -> int:
        try:
            return int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        except OSError:
            return 0

    return max(below(server.process.pid), key=pages)


def scratch_of(server: Server) -> str:
    """The marker of the server's processes: its temporary folder."""
    for pid in below(server.process.pid):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
        if any(word.endswith("reaper.py") for word in words):
            return words[-2]
    raise AssertionError("nothing keeps watch")


def says(text: str) -> Callable[[Server], bool]:
    return lambda server: text in server.log.read_text(errors="replace")


MOMENTS = {
    "as soon as something is below it": lambda server: bool(below(server.process.pid)),
    "while the engine loads weights": says("Loading safetensors checkpoint shards:   0%"),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_while_it_starts(home: Path, moment: str) -> None:
    server = Server(home, BASE, (*FLAGS, "--enforce-eager"))
    seen: set[int] = set()
    try:
        end = time.monotonic() + 200
        while not MOMENTS[moment](server):
            assert server.process.poll() is None, server.tail()
            assert time.monotonic() < end, server.tail()
            seen |= below(server.process.pid)
            time.sleep(0.02)
        seen |= below(server.process.pid)
    finally:
        server.process.kill()
        server.process.wait()
        server.client.close()
        server.registry.close()
    assert seen
    end = time.monotonic() + 15
    while any(map(running, seen)):
        assert time.monotonic() < end, [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in seen if running(pid)]
        time.sleep(0.05)


def test_killed_while_it_serves_and_with_a_dead_engine(home: Path) -> None:
    """First its engine, which ends it with the cause; then a second server itself."""
    server = Server(home, BASE, (*FLAGS, "--enforce-eager"))
    server.wait()
    os.kill(engine_of(server), signal.SIGKILL)
    assert server.process.wait(60) == 1, server.tail()
    (line,) = [text for text in server.log.read_text(errors="replace").splitlines() if text.startswith("error:")]
    assert "vLLM stopped: " in line
    assert "was killed" in line
    assert "Stopped." not in server.tail().splitlines()
    server.client.close()
    server.registry.close()
    again = Server(home, BASE, (*FLAGS, "--enforce-eager"))
    again.wait()
    left, word = sorted(below(again.process.pid)), scratch_of(again)
    again.process.kill()
    again.process.wait()
    again.client.close()
    again.registry.close()
    assert gone(left, word)
