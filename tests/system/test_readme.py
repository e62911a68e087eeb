"""The README's own commands, as they stand there: a server without any flag, and a question to it."""

import contextlib
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from tests.system.reference import make_adapter
from tests.system.server import free_port

from lorarack.registry import open_registry

pytestmark = [pytest.mark.system, pytest.mark.torch]

README = (Path(__file__).parents[2] / "README.md").read_text().splitlines()
LORARACK = str(Path(sys.executable).with_name("lorarack"))
PORT = 8000
START_SECONDS = 500  # the first start on a machine compiles the model and the kernel


def line(command: str) -> list[str]:
    """The words of the README's line that begins with ``lorarack COMMAND``."""
    (found,) = [text for text in README if text.startswith(f"lorarack {command} ")]
    return [LORARACK, *shlex.split(found)[1:]]


def port_of_the_readme() -> int:
    """The default one; another only where something else listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", PORT))
        except OSError:
            return free_port()
    return PORT


def test_serve_without_any_flag_and_ask(small_base: Path, tmp_path: Path) -> None:
    """Says how much memory keys and values get, takes no more than that of what is free, and answers."""
    serve, ask = line("serve"), line("ask")
    with open_registry(tmp_path / "home") as registry:
        registry.add_base(str(small_base), serve[-1])
        registry.publish(make_adapter(small_base, tmp_path / "r16", 16, 1, 0.03), "orders", base=serve[-1])
    port = port_of_the_readme()
    url = f"http://127.0.0.1:{port}"
    ours = ("LORARACK_REGISTRY", "LORARACK_TOKEN", "VLLM_API_KEY", "VLLM_CPU_KVCACHE_SPACE")
    environ = {name: value for name, value in os.environ.items() if name not in ours}
    environ |= {"LORARACK_HOME": str(tmp_path / "home"), "LORARACK_URL": url}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            serve if port == PORT else [*serve, "--port", str(port)],
            env=environ, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        wait(process, url, tmp_path / "log")
        asked = subprocess.run([*ask, "--json"], env=environ, capture_output=True, text=True)
        assert asked.returncode == 0, asked.stderr
        assert json.loads(asked.stdout)["reference"] == "orders@1"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
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


def wait(process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    """Until it is ready."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        assert process.poll() is None, f"the server stopped:\n{log.read_text(errors='replace')[-4000:]}"
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{url}/ready").status_code == 200:
                return
        time.sleep(0.25)
    raise AssertionError(f"the server is not ready:\n{log.read_text(errors='replace')[-4000:]}")
