"""A server that cannot start says why in one sentence and leaves nothing running."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.system.server import Server

pytestmark = pytest.mark.system


def serve(server: Server, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Try to start another server over the same registry."""
    environ = {**os.environ, "LORARACK_HOME": str(server.home)}
    environ.pop("LORARACK_REGISTRY", None)
    command = [str(Path(sys.executable).with_name("lorarack")), "serve", *arguments]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=240)


def error_of(done: "subprocess.CompletedProcess[str]") -> str:
    lines = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(lines) == 1, done.stderr[-3000:]
    assert done.stderr.rstrip().endswith(lines[0]), "the reason is the last thing said"
    return lines[0]


def test_a_taken_port(server: Server) -> None:
    done = serve(server, "smol", "--port", str(server.port))
    assert done.returncode == 1
    assert f"Port {server.port} on 127.0.0.1 is taken" in error_of(done)


def test_an_unknown_base(server: Server) -> None:
    done = serve(server, "nosuch")
    assert done.returncode == 1
    assert "known: 'smol'" in error_of(done)


def test_more_memory_than_there_is(server: Server) -> None:
    done = serve(server, "smol", "--port", "0", "--kv-cache-memory-bytes", "900G")
    assert done.returncode == 2, "0 is no port"
    done = serve(server, "smol", "--kv-cache-memory-bytes", "900G")
    assert done.returncode == 1
    assert "needs about 90" in error_of(done)


def test_what_vllm_itself_refuses(server: Server) -> None:
    """The first cause, not 'see above'."""
    done = serve(server, "smol", "--max-model-len", "1000000", "--enforce-eager")
    assert done.returncode == 1
    assert "max_model_len (1000000)" in error_of(done)
