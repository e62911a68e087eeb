"""The benchmark of serving measures what it says: answers are whole, times are those of their parts, arms take turns."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
from benchmarks.serving import turns
from benchmarks.serving.stream import Load, run

PAUSE = 0.03


@pytest.fixture
def endpoint() -> Iterator[Any]:
    """A server that streams a token each `PAUSE`, notes who asked, and can be made to cut answers short."""
    state = SimpleNamespace(asked=[], short=0)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            state.asked.append(body["model"])
            self.send_response(200)
            self.send_header("x-lorarack-version", f"{body['model']}@1")
            self.end_headers()
            tokens = body["max_tokens"] - state.short
            for number in range(tokens):
                time.sleep(PAUSE)
                usage = {"completion_tokens": tokens} if number == tokens - 1 else None
                self.wfile.write(f"data: {json.dumps({'model': body['model'], 'usage': usage})}\n\n".encode())
            self.wfile.write(b"data: [DONE]\n\n")

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        state.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield state
        server.shutdown()


def test_each_request_is_streamed_and_its_parts_are_timed(endpoint: Any) -> None:
    found = run(endpoint.url, Load(["a", "b", "a"], 4, 3, clients=2), seed=1)
    assert sorted(endpoint.asked) == ["a", "a", "b"]
    assert {(answer.model, answer.version, answer.tokens) for answer in found.answers} == {
        ("a", "a@1", 3),
        ("b", "b@1", 3),
    }
    for answer in found.answers:
        assert answer.first_token >= PAUSE
        assert [gap >= PAUSE / 2 for _, gap in answer.gaps] == [True, True]
    assert found.tokens_per_second == pytest.approx(9 / found.seconds)
    assert found.requests_per_second == pytest.approx(3 / found.seconds)


def test_an_answer_cut_short_is_no_measurement(endpoint: Any) -> None:
    endpoint.short = 1
    with pytest.raises(RuntimeError, match="3 tokens were asked for and 2 came"):
        run(endpoint.url, Load(["a"], 4, 3), seed=1)


def test_arms_take_turns_in_both_orders_after_a_round_that_nobody_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "wait_for_quiet", lambda patience: None)
    called: list[tuple[str, int]] = []

    def work(name: str) -> Any:
        def measure(number: int) -> float:
            called.append((name, number))
            return float(number) if number >= 0 else 1e9

        return measure

    found = turns.medians("x", {"o": work("o"), "p": work("p")}, 3)
    assert found == {"o": 1.0, "p": 1.0}
    assert "".join(name for name, _ in called) == "op" + "op" + "po" + "op"


def test_a_row_is_met_within_its_bound() -> None:
    assert turns.ratio_row("x", (9.0, 10.0), "s", at_least=0.9).met
    assert turns.ratio_row("x", (11.0, 10.0), "s", at_most=1.05).met is False
    assert turns.ratio_row("x", (11.0, 10.0), "s").met is None
