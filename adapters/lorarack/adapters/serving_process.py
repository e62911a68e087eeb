"""``lorarack serve`` as a process of its own: started, waited for, and always stopped."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import IO

import httpx

from lorarack.registry.errors import EngineError, StoreError
from lorarack.registry.settings import home_folder

_HOST = "127.0.0.1"
_START_SECONDS = 600.0
_STOP_SECONDS = 30.0
_LOOK_SECONDS = 0.25

#: The command itself. Not ``-m``: vLLM's worker processes would import the main module once more.
_LORARACK = [sys.executable, "-P", "-c", "from lorarack.registry.cli.main import main; main()"]


@dataclass(frozen=True, slots=True)
class ServingProcess:
    """A server that is ready.

    Attributes:
        url: where it answers.
        log: the file that holds everything it says.
        pid: its process.
    """

    url: str
    log: Path
    pid: int


@contextmanager
def serving(
    base: str,
    registry: Path,
    log: Path,
    flags: Sequence[str] = (),
    *,
    waiting: Callable[[float], None] = lambda _: None,
    command: Sequence[str] = (),
) -> Iterator[ServingProcess]:
    """A server of ``base`` and its adapters on a free port of this machine, stopped at the end whatever happens.

    Args:
        base: the base's name in the registry.
        registry: the registry's folder.
        log: a file for what the server says; made anew, kept afterwards.
        flags: more flags for ``lorarack serve``, vLLM's own among them.
        waiting: called a few times a second while it starts, with the seconds so far.
        command: what to start instead of ``lorarack serve``'s own command line up to ``serve``.

    Raises:
        EngineError: it stopped before it was ready, with its own reason, or took longer than ten minutes.
        StoreError: the log cannot be written.
    """
    port = _free_port()
    arguments = ["serve", base, "--registry", str(registry), "--host", _HOST, "--port", str(port), *flags]
    with _open_log(log) as said, stopped_by_sigterm():
        process = subprocess.Popen(
            [*(command or _LORARACK), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            env={
                name: value for name, value in os.environ.items() if name != "VLLM_API_KEY"
            },  # ours alone, on loopback
            start_new_session=True,  # Ctrl-C reaches us alone, and we stop the server in order
        )
        try:
            server = ServingProcess(f"http://{_HOST}:{port}", log, process.pid)
            _wait_until_ready(server, process, waiting)
            yield server
        finally:
            _stop(process)


def log_file() -> Path:
    """A file in the home folder for the log of a server that starts now."""
    return home_folder() / "logs" / f"serve-{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.getpid()}.log"


@contextmanager
def stopped_by_sigterm() -> Iterator[None]:
    """While inside, SIGTERM unwinds like Ctrl-C does, so that whatever was started is stopped."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _wait_until_ready(
    server: ServingProcess, process: subprocess.Popen[bytes], waiting: Callable[[float], None]
) -> None:
    start = time.monotonic()
    with httpx.Client(timeout=5.0, trust_env=False) as http:  # a proxy has no business with a loopback address
        while (so_far := time.monotonic() - start) < _START_SECONDS:
            if process.poll() is not None:
                raise EngineError(f"The server stopped before it was ready: {_reason(server.log)}", code="no_server")
            if _is_ready(http, server.url):
                return
            waiting(so_far)
            time.sleep(_LOOK_SECONDS)
    raise EngineError(f"The server was not ready after {_START_SECONDS:.0f} s; see {server.log}.", code="no_server")


def _is_ready(http: httpx.Client, url: str) -> bool:
    try:
        return http.get(f"{url}/ready").status_code == 200
    except httpx.TransportError:
        return False


def _reason(log: Path) -> str:
    """The server's own sentence, and where the rest is."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line.removeprefix("error:").strip() for line in lines if line.startswith("error:")]
    last = (errors or lines or ["it said nothing"])[-1]
    return f"{last.rstrip('.')}. Its log: {log}"


def _stop(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, time to end in order, then whatever is left of its group is killed."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        except KeyboardInterrupt:  # asked twice: no more patience
            _kill_group(process)
            raise
    _kill_group(process)
    process.wait()


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _open_log(log: Path) -> IO[bytes]:
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        return log.open("wb")
    except OSError as error:
        raise StoreError(f"The server's log {log} cannot be written: {error.strerror}.") from error
