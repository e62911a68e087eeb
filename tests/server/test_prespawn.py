"""The engine's process that begins early: used where it is what vLLM would spawn, and never else. Real processes, without vLLM."""

import json
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing import spawn
from pathlib import Path
from typing import Any

import pytest
from tests.server.test_settings import SETTINGS

from lorarack.server.launch import environment
from lorarack.server.process import launch_env_cache
from lorarack.server.process.prespawn import PrespawnedEngine
from lorarack.server.settings import VARIABLE

#: What a start changes in its environment before its engine begins.
NEW = {"OMP_PLACES": "1"}


def recall(memory: Path) -> dict[str, str] | None:
    return launch_env_cache.recall(memory, os.environ)


def remember(memory: Path, changed: dict[str, str]) -> None:
    launch_env_cache.remember(memory, changed, os.environ)


def write_down(path: str) -> None:
    """The engine's work, for these tests: say who and what one is."""
    found = {
        "name": multiprocessing.current_process().name,
        "environ": dict(os.environ),
        "at the start": Path("/proc/self/environ").read_bytes().decode().split("\0"),
        "files": resource.getrlimit(resource.RLIMIT_NOFILE),
        "interrupt": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
        "imported": "sched" in sys.modules,
    }
    Path(path).write_text(json.dumps(found))


def fail(path: str) -> None:
    """Work that goes wrong."""
    sys.exit(3)


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    (tmp_path / "cache").mkdir(mode=0o700)
    return tmp_path / "cache" / "engine.json"


@pytest.fixture
def start(memory: Path) -> Iterator[Callable[[], PrespawnedEngine]]:
    """Begins as `lorarack serve` does."""
    begun: list[PrespawnedEngine] = []

    def start() -> PrespawnedEngine:
        early = PrespawnedEngine(memory, modules=("sched", "no.such.module"))
        begun.append(early)
        with environment(early.environment):
            early.begin()
        return early

    yield start
    for early in begun:
        early.close()


def is_running(pid: int) -> bool:
    """Not one that has ended and that nobody has asked about."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def run(early: PrespawnedEngine, path: Path, work: Callable[[str], None] = write_down) -> Any:
    """As vLLM starts its engine; the process, which has ended."""
    process = early.context().Process(name="EngineCore", target=work, kwargs={"path": str(path)})
    process.start()
    process.join(60)
    return process


@pytest.fixture
def settled(memory: Path) -> None:
    """A start that set ``NEW`` is remembered."""
    remember(memory, NEW)


def test_the_first_start_spawns_and_remembers(
    start: Callable[[], PrespawnedEngine], memory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    early = start()
    monkeypatch.setenv("OMP_PLACES", "1")
    monkeypatch.setenv(VARIABLE, SETTINGS.model_dump_json())
    assert run(early, tmp_path / "said").exitcode == 0
    said = json.loads((tmp_path / "said").read_text())
    assert (said["name"], said["imported"]) == ("EngineCore", False)
    assert recall(memory) == NEW, "what is another at each start is not remembered"


@pytest.mark.usefixtures("settled")
def test_the_next_one_has_begun_already(
    start: Callable[[], PrespawnedEngine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the environment from its very beginning, what came later added, and everything else as if it were spawned."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    monkeypatch.setenv(VARIABLE, SETTINGS.model_dump_json())
    early = start()
    assert "OMP_PLACES" not in os.environ, "our own environment is as it was"
    monkeypatch.setenv("OMP_PLACES", "1")
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft - 1, hard))
    try:
        process = run(early, tmp_path / "said")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (process.exitcode, process.name, process.is_alive()) == (0, "EngineCore", False)
    said = json.loads((tmp_path / "said").read_text())
    assert said["environ"].items() >= os.environ.items()
    assert "OMP_PLACES=1" in said["at the start"]
    assert said["files"] == [soft - 1, hard]
    assert said["name"] == "EngineCore"
    assert said["imported"]
    assert said["interrupt"]


@pytest.mark.usefixtures("settled")
def test_only_the_first_process_is_the_waiting_one(
    start: Callable[[], PrespawnedEngine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    early = start()
    monkeypatch.setenv("OMP_PLACES", "1")
    for name, imported in (("one", True), ("two", False)):
        run(early, tmp_path / name)
        assert json.loads((tmp_path / name).read_text())["imported"] == imported


@pytest.mark.usefixtures("settled")
def test_an_environment_that_is_another_now_gets_a_new_process(
    start: Callable[[], PrespawnedEngine], memory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenMP has read its variables by then: a process with the wrong ones would compute with the wrong threads."""
    early = start()
    monkeypatch.setenv("OMP_PLACES", "2")
    run(early, tmp_path / "said")
    said = json.loads((tmp_path / "said").read_text())
    assert not said["imported"]
    assert "OMP_PLACES=2" in said["at the start"]
    assert recall(memory) == {"OMP_PLACES": "2"}


@pytest.mark.usefixtures("settled")
def test_other_settings_than_at_the_beginning_get_a_new_process(
    start: Callable[[], PrespawnedEngine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the kernel could not be compiled after all: the process has the old ones in its environment."""
    monkeypatch.setenv(VARIABLE, SETTINGS.model_dump_json())
    early = start()
    monkeypatch.setenv("OMP_PLACES", "1")
    monkeypatch.setenv(VARIABLE, SETTINGS.model_copy(update={"base": "other"}).model_dump_json())
    run(early, tmp_path / "said")
    said = json.loads((tmp_path / "said").read_text())
    assert not said["imported"]
    assert said["environ"][VARIABLE] == os.environ[VARIABLE]


@pytest.mark.usefixtures("settled")
def test_work_that_only_a_child_can_inherit_gets_a_new_process(
    start: Callable[[], PrespawnedEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    early = start()
    monkeypatch.setenv("OMP_PLACES", "1")
    queue = early.context().Queue()
    process = early.context().Process(name="EngineCore", target=queue.put, kwargs={"obj": 7})
    process.start()
    assert queue.get(timeout=60) == 7
    process.join(60)
    assert process.exitcode == 0


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("seen", [True, False])
def test_one_that_has_died_is_replaced(
    seen: bool, start: Callable[[], PrespawnedEngine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Short of memory, for example: also where it dies at the very moment."""
    early = start()
    monkeypatch.setenv("OMP_PLACES", "1")
    process, _ = early._waiting or pytest.fail("nothing waits")
    process.kill()
    process.join()
    if not seen:
        monkeypatch.setattr(process, "is_alive", lambda: True)
    assert run(early, tmp_path / "said").exitcode == 0
    assert not json.loads((tmp_path / "said").read_text())["imported"]


@pytest.mark.usefixtures("settled")
def test_an_exit_code_is_the_works(
    start: Callable[[], PrespawnedEngine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    early = start()
    monkeypatch.setenv("OMP_PLACES", "1")
    assert run(early, tmp_path / "said", fail).exitcode == 3


@pytest.mark.usefixtures("settled")
def test_nothing_is_left_when_no_engine_was_wanted(start: Callable[[], PrespawnedEngine]) -> None:
    before = set(multiprocessing.active_children())
    early = start()
    (process,) = set(multiprocessing.active_children()) - before
    pid = process.pid
    early.close()
    early.close()
    assert not os.path.exists(f"/proc/{pid}")


@pytest.mark.usefixtures("settled")
def test_a_server_that_is_killed_leaves_nothing(memory: Path) -> None:
    """The waiting process sees that its line is dead."""
    code = (
        "import sys, os, multiprocessing, pathlib\n"
        "from lorarack.server.process.prespawn import PrespawnedEngine\n"
        "if __name__ == '__main__':\n"
        "    early = PrespawnedEngine(pathlib.Path(sys.argv[1]), modules=())\n"
        "    early.begin()\n"
        "    pathlib.Path(sys.argv[2]).write_text(str(multiprocessing.active_children()[0].pid))\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    said = memory.with_name("pid")
    done = subprocess.run([sys.executable, "-c", code, memory, said], stdout=subprocess.DEVNULL, check=False)
    assert done.returncode == -signal.SIGKILL
    end = time.monotonic() + 30
    while is_running(int(said.read_text())):
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize(
    "name",
    ["HF_TOKEN", "VLLM_API_KEY", "PYTHONPATH", "PYTHONSTARTUP", "LD_AUDIT", "OMP_TOOL_LIBRARIES", "PROMETHEUS_MULTIPROC_DIR"],
)  # fmt: skip
def test_only_names_that_bring_no_code_and_no_secret_are_written_down(
    name: str, start: Callable[[], PrespawnedEngine], memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no process begins in vain next time."""
    early = start()
    monkeypatch.setenv(name, "x")
    assert early.assign_work("EngineCore", fail, {}) is None
    assert not memory.exists()
    assert early._waiting is None


def test_a_variable_that_is_gone_cannot_be_remembered(
    start: Callable[[], PrespawnedEngine], memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LORARACK_TEST_OLD", "x")
    early = start()
    monkeypatch.delenv("LORARACK_TEST_OLD")
    assert early.assign_work("EngineCore", fail, {}) is None
    assert not memory.exists()


@pytest.mark.usefixtures("settled")
def test_an_engine_that_another_program_starts_is_spawned(
    start: Callable[[], PrespawnedEngine], memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with `--numa-bind`, where vLLM has `numactl` start it: a process that has begun already is not bound."""
    early = start()
    monkeypatch.setenv("OMP_PLACES", "1")
    python = spawn.get_executable()
    spawn.set_executable("/usr/bin/numactl")
    try:
        assert early.assign_work("EngineCore", fail, {}) is None
    finally:
        spawn.set_executable(python)
    assert not memory.exists()


def test_a_memory_that_no_environment_can_have_starts_nothing(
    start: Callable[[], PrespawnedEngine], memory: Path, settled: None
) -> None:
    before = dict(os.environ)
    memory.write_text(memory.read_text().replace('"1"', '"1\\u0000"'))
    assert start()._waiting is None
    assert dict(os.environ) == before
