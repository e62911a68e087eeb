"""The servers that are held against each other, each a process of its own with a port of its own."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

#: One flag for two servers that would each take nearly all memory for their KV cache.
CACHE = ("--kv-cache-memory-bytes", "512M")
#: What every arm of a comparison of engines gets.
SAME = (
    *CACHE, "--dtype", "bfloat16", "--max-model-len", "1024", "--max-num-seqs", "16", "--no-enable-prefix-caching",
)  # fmt: skip
MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
BASE = "base"
_PATIENCE = 400
_SETTINGS = (
    r"dtype=torch\.\w+", r"max_seq_len=\d+", r"enable_prefix_caching=\w+", r"enforce_eager=\w+",
    r"'mode': <CompilationMode\.\w+", r"reserve_cpu_num=\d+", r"core ids=\[[\d, ]*\]",
)  # fmt: skip
_ALL_CORES = {"VLLM_CPU_NUM_OF_RESERVED_CPU": "0"}


@dataclass
class Arm:
    """One server; use it as a context."""

    name: str
    command: Sequence[str]
    logs: Path
    environ: Mapping[str, str] = field(default_factory=dict)
    ready: str = "/health"
    port: int = field(init=False)
    _process: "subprocess.Popen[bytes] | None" = field(init=False, default=None)

    def __post_init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        """What it says."""
        return self.logs / f"{self.name.replace(' ', '-')}.log"

    def __enter__(self) -> "Arm":
        self.start()
        self.wait()
        return self

    def start(self) -> None:
        """Begin; ``wait`` for it and then leave the context, whatever happens."""
        print(f"starting {self.name} …", file=sys.stderr, flush=True)
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [*self.command, "--host", "127.0.0.1", "--port", str(self.port)],
                env={**os.environ, **self.environ},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self) -> None:
        """Until it answers.

        Raises:
            RuntimeError: it stopped, or did not answer in time; it is gone.
        """
        assert self._process is not None
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end and self._process.poll() is None:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(self.url + self.ready, timeout=5).status_code == 200:
                    return
            time.sleep(0.1)
        self.__exit__()
        raise RuntimeError(f"{self.name} did not start:\n{self.log.read_text(errors='replace')[-3000:]}")

    def __exit__(self, *_: object) -> None:
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(30)
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def settings(self) -> str:
        """The engine's own settings that matter for speed, as its log has them."""
        text = self.log.read_text(errors="replace")
        found = [match[0].replace("'mode': <", "mode ") for match in (re.search(p, text) for p in _SETTINGS) if match]
        return f"{self.name}: {', '.join(found)}"


@contextlib.contextmanager
def together(*arms: Arm) -> Iterator[None]:
    """Start all at the same time and wait for each; stop all in the end."""
    with contextlib.ExitStack() as running:
        for arm in arms:
            arm.start()
            running.push(arm.__exit__)
        for arm in arms:
            arm.wait()
        yield


def ours(name: str, logs: Path, home: Path, *flags: str) -> Arm:
    """`lorarack serve` over the registry in ``home``."""
    script = str(Path(sys.executable).with_name("lorarack"))
    return Arm(name, [script, "serve", BASE, "--registry", str(home), *flags], logs, ready="/ready")


def plain(name: str, logs: Path, base: Path, adapters: Mapping[str, Path], *flags: str, all_cores: bool = True) -> Arm:
    """vLLM as it comes, with ``adapters`` (none: LoRA off) under their names."""
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(base)]
    command += ["--served-model-name", BASE, *flags]
    if adapters:
        command += ["--enable-lora", "--lora-modules", *(f"{n}={path}" for n, path in adapters.items())]
    environ = {"VLLM_PLUGINS": "", **(_ALL_CORES if all_cores else {})}
    return Arm(name, command, logs, environ)


def lora_flags(rank: int, slots: int) -> tuple[str, ...]:
    """The same slots on both sides."""
    return (
        "--max-lora-rank", str(rank), "--max-loras", str(slots), "--max-cpu-loras", "32",
        "--lora-target-modules", *MODULES,
    )  # fmt: skip
