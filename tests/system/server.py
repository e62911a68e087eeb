"""A real `lorarack serve` and questions to it."""

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from lorarack.registry import Registry, open_registry
from lorarack.server.process.parent_death import die_with_parent

KEY = "a-key-for-the-tests"
#: One thread that is bound to no processor: two would wait for each other at every operation while anything else runs.
#: `make demo` starts a server as users do, with all of the machine's.
ONE_THREAD = {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "1"}
#: Where no machine takes ports for connections of its own: what is free now must still be so when a server binds it.
PORTS = range(20_000, 30_000)
#: The first start on a machine compiles the kernel and perhaps the model. Less than the time limit of a test.
START_SECONDS = 540
#: A request's line is written after its response; a busy machine may take a while between the two.
LOG_SECONDS = 20


class Server:
    """One running server, its registry, and what it was started with."""

    def __init__(self, home: Path, base: str, flags: Sequence[str], **variables: str) -> None:
        self.home = home
        self.port = free_port()
        self.log = home.parent / f"server-{self.port}.log"
        self.url = f"http://127.0.0.1:{self.port}"
        self.registry: Registry = open_registry(home)
        environ = {**os.environ, **ONE_THREAD, "LORARACK_HOME": str(home), "VLLM_API_KEY": KEY, **variables}
        environ.pop("LORARACK_REGISTRY", None)
        self.process = start(["serve", base, "--port", str(self.port), *flags], environ, self.log)
        self.client = httpx.Client(base_url=self.url, headers={"authorization": f"Bearer {KEY}"}, timeout=300)

    def wait(self) -> None:
        """Until it is ready."""
        wait(self.process, self.url, self.log)

    def stop(self) -> int:
        """Stop it as Ctrl-C does; its exit code. Nothing of it may be left."""
        self.client.close()
        self.registry.close()
        self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(120)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def tail(self) -> str:
        """The end of what it said."""
        return tail(self.log)

    def logged(self, text: str) -> str:
        """The first line of its log with a text, waited for.

        Raises:
            AssertionError: there is none; with the end of the log.
        """
        end = time.monotonic() + LOG_SECONDS
        while True:
            # Without what is still being written: a line that has no end yet.
            lines = self.log.read_text(errors="replace").rpartition("\n")[0].splitlines()
            if found := next((line for line in lines if text in line), None):
                return found
            assert time.monotonic() < end, f"nothing of {text!r} in the log:\n{self.tail()}"
            time.sleep(0.05)

    def post(self, path: str, **body: Any) -> httpx.Response:
        """POST a JSON object."""
        return self.client.post(path, json=body)

    def complete(self, model: str, prompt: Sequence[int] | str, **more: Any) -> dict[str, Any]:
        """A greedy completion that must succeed."""
        response = self.post("/v1/completions", model=model, prompt=prompt, temperature=0, **more)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer


def start(arguments: Sequence[str], environ: Mapping[str, str], log: Path) -> "subprocess.Popen[bytes]":
    """Begin `lorarack`, out of reach of the terminal's Ctrl-C; the operating system ends it when the tests are killed."""
    with log.open("wb") as said:
        return subprocess.Popen(
            [str(Path(sys.executable).with_name("lorarack")), *arguments],
            env=environ, stdout=said, stderr=subprocess.STDOUT, start_new_session=True,
            preexec_fn=partial(die_with_parent, os.getpid()),
        )  # fmt: skip


def wait(process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    """Until the server is ready.

    Raises:
        AssertionError: it has ended, or takes longer than any machine should; with the end of its log.
    """
    end = time.monotonic() + START_SECONDS
    with httpx.Client(base_url=url) as client:
        while process.poll() is None and time.monotonic() < end:
            with contextlib.suppress(httpx.TransportError):
                if client.get("/ready").status_code == 200:
                    return
            time.sleep(0.1)
    raise AssertionError(f"the server {'is not ready' if process.poll() is None else 'stopped'}:\n{tail(log)}")


def tail(log: Path) -> str:
    """The end of what was said."""
    return log.read_text(errors="replace")[-4000:]


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    while True:
        port = random.SystemRandom().choice(PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def events(text: str) -> list[dict[str, Any]]:
    """The objects of a stream of server-sent events."""
    data = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in data if line != "[DONE]"]
