"""The README's own commands, as they stand there: a server without any flag, and a question to it."""

import contextlib
import fcntl
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.system.reference import cut_base, make_adapter
from tests.system.server import ONE_THREAD, free_port, start, wait

from lorarack.registry import open_registry

pytestmark = [pytest.mark.system, pytest.mark.torch]

README = (Path(__file__).parents[2] / "README.md").read_text().splitlines()
LORARACK = str(Path(sys.executable).with_name("lorarack"))
PORT = 8000
#: Of the small base: compiling takes as long as there are layers. `make demo` compiles them all, with all of the machine's threads.
LAYERS = 4


def line(command: str) -> list[str]:
    """The words of the README's line that begins with ``lorarack COMMAND``."""
    (found,) = [text for text in README if text.startswith(f"lorarack {command} ")]
    return shlex.split(found)[1:]


@pytest.fixture
def port() -> Iterator[int]:
    """The default one; another only where something else listens there, or these tests run twice."""
    with (Path(tempfile.gettempdir()) / f"lorarack-tests-{os.getuid()}-{PORT}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", PORT))
        except OSError:
            yield free_port()
        else:
            yield PORT


def test_serve_without_any_flag_and_ask(small_base: Path, port: int, tmp_path: Path) -> None:
    """Says how much memory keys and values get, takes no more than that of what is free, and answers."""
    serve, ask = line("serve"), line("ask")
    base = cut_base(small_base, tmp_path / "base", LAYERS)
    with open_registry(tmp_path / "home") as registry:
        registry.add_base(str(base), serve[-1])
        registry.publish(make_adapter(base, tmp_path / "r16", 16, 1, 0.03), "orders", base=serve[-1])
    url = f"http://127.0.0.1:{port}"
    ours = ("LORARACK_REGISTRY", "LORARACK_TOKEN", "VLLM_API_KEY", "VLLM_CPU_KVCACHE_SPACE")
    environ = {name: value for name, value in os.environ.items() if name not in ours} | ONE_THREAD
    environ |= {"LORARACK_HOME": str(tmp_path / "home"), "LORARACK_URL": url}
    process = start(serve if port == PORT else [*serve, "--port", str(port)], environ, tmp_path / "log")
    try:
        wait(process, url, tmp_path / "log")
        asked = subprocess.run([LORARACK, *ask, "--json"], env=environ, capture_output=True, text=True)
        assert asked.returncode == 0, asked.stderr
        assert json.loads(asked.stdout)["reference"] == "orders@1"
        process.send_signal(signal.SIGINT)
        assert process.wait(120) == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    said = (tmp_path / "log").read_text(errors="replace")
    (cache,) = [text for text in said.splitlines() if text.startswith("KV cache: ")]
    found = re.fullmatch(
        r"KV cache: ([\d.]+) ([GM])iB of ([\d.]+) GiB free; --kv-cache-memory-bytes to change\.", cache
    )
    assert found, cache
    assert 0 < float(found[1]) / {"G": 1, "M": 1024}[found[2]] <= float(found[3]) / 4
