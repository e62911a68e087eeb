"""A server that cannot start says why in one sentence and leaves nothing running."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.system.server import free_port
from tests.tiny import tiny_base

from lorarack.registry import open_registry

pytestmark = pytest.mark.system

Serve = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    """Try to start a server over a registry that has one base, 'tiny'."""
    home = tmp_path / "home"
    with open_registry(home) as registry:
        registry.add_base(str(tiny_base(tmp_path / "base")), "tiny")
    environ = {**os.environ, "LORARACK_HOME": str(home)}
    environ.pop("LORARACK_REGISTRY", None)

    def serve(base: str, port: int, *flags: str) -> "subprocess.CompletedProcess[str]":
        command = [str(Path(sys.executable).with_name("lorarack")), "serve", base, "--port", str(port), *flags]
        return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)

    return serve


def error_of(done: "subprocess.CompletedProcess[str]") -> str:
    lines = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(lines) == 1, done.stderr[-3000:]
    assert done.stderr.rstrip().endswith(lines[0]), "the reason is the last thing said"
    return lines[0]


def test_a_taken_port(serve: Serve) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = serve("tiny", port)
    assert done.returncode == 1
    assert f"Port {port} on 127.0.0.1 is taken" in error_of(done)


def test_no_port(serve: Serve) -> None:
    assert serve("tiny", 0).returncode == 2


def test_an_unknown_base(serve: Serve) -> None:
    done = serve("nosuch", free_port())
    assert done.returncode == 1
    assert "known: 'tiny'" in error_of(done)


def test_more_memory_than_there_is(serve: Serve) -> None:
    done = serve("tiny", free_port(), "--kv-cache-memory-bytes", "900G")
    assert done.returncode == 1
    assert "needs about 90" in error_of(done)


def test_what_vllm_itself_refuses(serve: Serve) -> None:
    """The first cause, not 'see above'."""
    done = serve("tiny", free_port(), "--max-model-len", "1000000", "--enforce-eager")
    assert done.returncode == 1
    assert "max_model_len (1000000)" in error_of(done)
