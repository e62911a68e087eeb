"""What a start leaves behind that came to nothing, and how its end is told."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.system.server import free_port
from tests.tiny import tiny_base

from lorarack.registry import open_registry
from lorarack.server import ServeOptions, plan
from lorarack.server.vllm_version import installed_vllm

LORARACK = [sys.executable, "-P", "-c", "from lorarack.registry.cli.main import main; main()"]


@pytest.fixture(autouse=True)
def vllm() -> None:
    """Where it is not installed nothing comes so far."""
    if installed_vllm() is None:
        pytest.skip("vLLM is not installed here")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    with open_registry(tmp_path / "home") as registry:
        registry.add_base(str(tiny_base(tmp_path / "base")), "tiny")
    return tmp_path / "home"


def serve(home: Path, *flags: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*LORARACK, "serve", "tiny", "--registry", str(home), *flags],
        env={**os.environ, "LORARACK_HOME": str(home), **environ}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"VLLM_USE_RUST_FRONTEND": "1"}, "VLLM_USE_RUST_FRONTEND is set"),
        ({"VLLM_API_KEY": ""}, "VLLM_API_KEY is empty"),
        ({"VLLM_API_KEY": " \t"}, "VLLM_API_KEY is empty"),
        ({"TORCHINDUCTOR_CACHE_DIR": "/tmp"}, "TORCHINDUCTOR_CACHE_DIR: /tmp can be written by others"),
    ],
)
def test_what_the_environment_must_not_say_is_one_sentence(home: Path, environ: dict[str, str], said: str) -> None:
    """Said before vLLM is imported."""
    done = serve(home, "--port", str(free_port()), **environ)
    assert done.returncode in (1, 2), done.stderr
    (line,) = [text for text in done.stderr.splitlines() if text.startswith("error:")]
    assert said in line
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_start_that_is_stopped_has_stopped(home: Path, number: signal.Signals) -> None:
    """Exit 0, and nothing is left, also before vLLM has any handler of its own."""
    process = subprocess.Popen(
        [*LORARACK, "serve", "tiny", "--registry", str(home), "--port", str(free_port())],
        env={**os.environ, "LORARACK_HOME": str(home)}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    end = time.monotonic() + 60
    while not children(process.pid):  # the reaper: it has begun, and vLLM is about to be imported
        assert time.monotonic() < end
        assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.01)
    left = children(process.pid)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said.strip().splitlines()[-1]) == (0, "Stopped.")
    while any(Path(f"/proc/{pid}").exists() for pid in left):
        assert time.monotonic() < end + 10, "something is left"
        time.sleep(0.05)


def children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def test_from_python_a_plan_starts_nothing(home: Path) -> None:
    """Nor does it change a variable, or leave a folder."""
    before, running = dict(os.environ), children(os.getpid())
    with open_registry(home) as registry:
        made = plan(registry, registry.base("tiny"), ServeOptions(["--max-loras", "3"], port=free_port()))
    assert made.engine_args[-2:] == ("--max-loras", "3")
    assert made.environment["VLLM_PLUGINS"]
    assert not Path(made.settings.errors).exists()
    assert dict(os.environ) == before
    assert children(os.getpid()) == running
