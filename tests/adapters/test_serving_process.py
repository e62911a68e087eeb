"""A server as a process: waited for, explained when it fails, and never left behind."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from lorarack.adapters.serving_process import serving, stopped_by_sigterm
from lorarack.registry import open_registry
from lorarack.registry.errors import EngineError, StoreError

#: Answers on the port that it is given, after a moment, and has a child of its own that ignores SIGTERM.
WILLING = """
import signal, subprocess, sys, time
from http.server import BaseHTTPRequestHandler, HTTPServer
stubborn = subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"])
print("child", stubborn.pid, "arguments", sys.argv[1:], flush=True)
asked = 0
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        global asked
        asked += 1
        self.send_response(200 if asked > 2 else 503)
        self.send_header("content-length", "0")
        self.end_headers()
    def log_message(self, *_): pass
signal.signal(signal.SIGTERM, lambda *_: (print("stopped in order", flush=True), sys.exit(0)))
HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Handler).serve_forever()
"""


def command(program: str) -> list[str]:
    return [sys.executable, "-c", program]


def is_running(pid: int) -> bool:
    """Whether the process computes: one that ended but was not yet collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def child_in(log: Path) -> int:
    return int(log.read_text().split()[1])


def gone_soon(pid: int) -> bool:
    end = time.monotonic() + 10
    while is_running(pid) and time.monotonic() < end:
        time.sleep(0.02)
    return not is_running(pid)


def test_it_is_ready_inside_and_gone_afterwards_with_all_its_children(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "serve.log"
    waits: list[float] = []
    with serving("tiny", tmp_path, log, ["--max-loras", "4"], waiting=waits.append, command=command(WILLING)) as server:
        assert httpx.get(f"{server.url}/ready", trust_env=False).status_code == 200
        assert is_running(child_in(log))
        assert len(waits) >= 2, "it said 503 twice"
    said = log.read_text()
    assert "'serve', 'tiny', '--registry'" in said
    assert "'--max-loras', '4'" in said
    assert "stopped in order" in said
    assert gone_soon(server.pid)
    assert gone_soon(child_in(log))


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_it_is_gone_also_when_the_caller_fails_or_is_interrupted(tmp_path: Path, error: type[BaseException]) -> None:
    log = tmp_path / "serve.log"
    with pytest.raises(error), serving("tiny", tmp_path, log, command=command(WILLING)) as server:
        raise error
    assert gone_soon(server.pid)
    assert gone_soon(child_in(log))


@pytest.mark.parametrize(
    ("program", "sentence"),
    [
        (
            "print('noise'); print('error: Port 1 is taken; choose another.'); print('after'); exit(1)",
            "Port 1 is taken",
        ),
        ("raise SystemExit('the last words')", "the last words"),
        ("", "it said nothing"),
    ],
)
def test_one_that_ends_early_is_quoted_and_its_log_named(tmp_path: Path, program: str, sentence: str) -> None:
    log = tmp_path / "serve.log"
    with pytest.raises(EngineError, match=sentence) as caught, serving("tiny", tmp_path, log, command=command(program)):
        pytest.fail("it was never ready")
    assert str(log) in caught.value.message
    assert "\n" not in caught.value.message


def test_lorarack_serve_itself_says_why_it_cannot_start(tmp_path: Path) -> None:
    """The real command, without an engine: there is no such base."""
    open_registry(tmp_path / "home").close()
    with (
        pytest.raises(EngineError, match=r"There is no base model 'nobody'"),
        serving("nobody", tmp_path / "home", tmp_path / "serve.log"),
    ):
        pytest.fail("it was never ready")


def test_a_log_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="log"), serving("tiny", tmp_path, tmp_path / "file" / "serve.log"):
        pytest.fail("it was never ready")


def test_sigterm_stops_the_server_too(tmp_path: Path) -> None:
    """A caller that is terminated leaves no server behind."""
    log = tmp_path / "serve.log"
    caller = (
        "import sys, time\nfrom pathlib import Path\nfrom lorarack.adapters.serving_process import serving\n"
        f"with serving('tiny', Path('.'), Path({str(log)!r}), command=[sys.executable, '-c', {WILLING!r}]):\n"
        "    print('inside', flush=True)\n    time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", caller], stdout=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "inside\n"
        process.terminate()
        assert process.wait(30) == 128 + signal.SIGTERM
    assert gone_soon(child_in(log))


def test_the_signal_is_as_before_afterwards() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as stop, stopped_by_sigterm():
        signal.raise_signal(signal.SIGTERM)
    assert stop.value.code == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before
