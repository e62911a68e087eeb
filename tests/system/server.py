"""A real `lorarack serve` and questions to it."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from lorarack.registry import Registry, open_registry

KEY = "a-key-for-the-tests"
#: One thread that is bound to no processor: two would wait for each other at every operation while anything else runs.
#: ``test_readme`` starts a server as users do, with all of the machine's.
ONE_THREAD = {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "1"}


class Server:
    """One running server, its registry, and what it was started with."""

    def __init__(self, home: Path, base: str, flags: Sequence[str]) -> None:
        self.home = home
        self.port = free_port()
        self.log = home.parent / f"server-{self.port}.log"
        self.url = f"http://127.0.0.1:{self.port}"
        self.registry: Registry = open_registry(home)
        environ = {**os.environ, **ONE_THREAD, "LORARACK_HOME": str(home), "VLLM_API_KEY": KEY}
        environ.pop("LORARACK_REGISTRY", None)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [Path(sys.executable).with_name("lorarack"), "serve", base, "--port", str(self.port), *flags],
                env=environ, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        self.client = httpx.Client(base_url=self.url, headers={"authorization": f"Bearer {KEY}"}, timeout=300)

    def wait(self, seconds: float = 300) -> None:
        """Until it is ready."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert self.process.poll() is None, f"the server stopped:\n{self.tail()}"
            try:
                if httpx.get(f"{self.url}/ready").status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.25)
        raise AssertionError(f"the server is not ready:\n{self.tail()}")

    def stop(self) -> int:
        """Stop it as Ctrl-C does; its exit code. Nothing of it may be left."""
        self.client.close()
        self.registry.close()
        self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(60)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def tail(self) -> str:
        """The end of what it said."""
        return self.log.read_text(errors="replace")[-4000:]

    def post(self, path: str, **body: Any) -> httpx.Response:
        """POST a JSON object."""
        return self.client.post(path, json=body)

    def complete(self, model: str, prompt: Sequence[int] | str, **more: Any) -> dict[str, Any]:
        """A greedy completion that must succeed."""
        response = self.post("/v1/completions", model=model, prompt=prompt, temperature=0, **more)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def events(text: str) -> list[dict[str, Any]]:
    """The objects of a stream of server-sent events."""
    data = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in data if line != "[DONE]"]
