"""The benchmark measures what it says: the adapters are ones, all requests are sent and answered in full, the arms take turns."""

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from benchmarks.cpu_lora import arms, comparison
from benchmarks.cpu_lora.adapters import make_adapter
from benchmarks.cpu_lora.comparison import Side, compare
from benchmarks.cpu_lora.load import Traffic, tokens_per_second
from tests.tiny import tiny_base

from lorarack.registry import open_registry

pytestmark = pytest.mark.torch


@pytest.fixture
def endpoint() -> Iterator[Any]:
    """A server that answers completions at once, notes who asked for what, and can be made to cut answers short."""
    state = SimpleNamespace(asked=[], short=0)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            state.asked.append(body)
            answer = json.dumps({"usage": {"completion_tokens": body["max_tokens"] - state.short}}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        state.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield state
        server.shutdown()


def test_its_adapters_are_real_ones(tmp_path: Path) -> None:
    """The registry, which checks shapes and numbers against the base, takes them at their rank."""
    base = tiny_base(tmp_path / "base")
    with open_registry(tmp_path / "home") as registry:
        registry.add_base(str(base), "tiny")
        published = registry.publish(make_adapter(base, tmp_path / "r4", 4, 1), "r4", base="tiny")
    assert (published.version.rank, len(published.version.target_modules)) == (4, 7)


def test_every_request_is_sent_once_to_the_next_adapter(endpoint: Any) -> None:
    traffic = Traffic("some", 5, 3, requests=7, concurrency=2, models=("a@1", "b@1"))
    assert tokens_per_second(endpoint.url, traffic, seed=1) > 0
    assert sorted(body["model"] for body in endpoint.asked) == ["a@1"] * 4 + ["b@1"] * 3
    assert {(len(body["prompt"]), body["max_tokens"]) for body in endpoint.asked} == {(5, 3)}
    assert len({tuple(body["prompt"]) for body in endpoint.asked}) == 7, "a repeated prompt would come from a cache"


def test_an_answer_cut_short_is_no_measurement(endpoint: Any) -> None:
    endpoint.short = 1
    with pytest.raises(RuntimeError, match="3 tokens were asked for and 2 came"):
        tokens_per_second(endpoint.url, Traffic("some", 5, 3, requests=1, models=("a@1",)), seed=1)


def test_the_arms_take_turns_and_the_order_is_reversed(endpoint: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is second in one round is first in the next: a machine that slows down favours nobody."""
    monkeypatch.setattr(comparison, "wait_for_quiet", lambda: None)
    arm: Any = SimpleNamespace(url=endpoint.url)
    sides = {"ours": Side(arm, ("o",)), "plain": Side(arm, ("p",))}
    found = compare(Traffic("some", 4, 1, requests=1, concurrency=1), sides, rounds=3)
    assert list(found) == ["ours", "plain"]
    assert "".join(body["model"] for body in endpoint.asked) == "op" + "op" + "po" + "op"


def test_a_busy_machine_is_waited_for_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Busy for two looks and quiet at the third; and busy all the time."""
    ticks = iter([(0, 0), (9, 10), (18, 20), (18, 30)])
    monkeypatch.setattr(comparison, "_processor_time", lambda: next(ticks))
    comparison.wait_for_quiet()
    assert next(ticks, None) is None
    always = ((9 * n, 10 * n) for n in count())
    monkeypatch.setattr(comparison, "_processor_time", lambda: next(always))
    comparison.wait_for_quiet(patience=0.6)
    assert next(always) == (36, 40)


def test_servers_that_start_together_are_stopped_when_one_fails(tmp_path: Path) -> None:
    """The message has the end of what the failed one said."""
    program = "import signal, sys; signal.signal(signal.SIGINT, lambda *_: sys.exit(0)); signal.pause()"
    waiting = arms.Arm("waiting", [sys.executable, "-c", program], tmp_path)
    failing = arms.Arm("failing", [sys.executable, "-c", "raise SystemExit('no room')"], tmp_path)
    with pytest.raises(RuntimeError, match="failing did not start:\nno room"), arms.together(failing, waiting):
        pytest.fail("one of them never answered")
    assert waiting._process is not None
    assert waiting._process.returncode is not None
