"""`ask` against a loopback server that speaks as ours does: streams, refusals, and lines that break off."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from lorarack.registry.errors import Conflict, LorarackError, NotAllowed, NotFound, Unavailable, UsageError
from lorarack.server.client import Prompt, ask

ODD = {"empty": (200, b"<html>"), "moved": (302, b""), "no json": (200, b"data: {\n\n")}
STATUS = {"nosuch": 404, "big": 422, "gone": 410, "locked": 401, "odd": 400, "broken": 500}


class Server(ThreadingHTTPServer):
    """Remembers what it was asked."""

    asked: list[tuple[str, dict[str, Any], str | None]]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked.append((self.path, body, self.headers["authorization"]))
        if status := STATUS.get(body["model"]):
            return self._reply(status, json.dumps({"error": {"message": f"because {status}"}}).encode())
        if body["model"] in ODD:
            return self._reply(*ODD[body["model"]])
        if body["model"] == "garbled":
            return self._reply(503, b"<html>")
        chat = "chat" in self.path
        events = [
            {"choices": [{"delta": {"role": "assistant", "content": ""}} if chat else {"text": ""}]},
            {"choices": [{"delta": {"content": "Hé"}} if chat else {"text": "Hé"}]},
            {
                "choices": [
                    {("delta" if chat else "text"): {"content": "llo"} if chat else "llo", "finish_reason": "stop"}
                ]
            },
        ]
        events.append({"error": {"message": "out of memory"}} if body["model"] == "dying" else {
            "choices": [], "usage": {"completion_tokens": 2},
        })  # fmt: skip
        lines = [f"data: {json.dumps(event)}\n\n" for event in events]
        self._reply(200, ("".join(lines) + ": a comment\n\ndata: [DONE]\n\n").encode())
        return None

    def _reply(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.send_header("x-lorarack-version", "support@3")
        self.send_header("x-lorarack-digest", "sha256:ab")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as running:
        running.asked = []
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def url_of(server: Server) -> str:
    return f"http://127.0.0.1:{server.server_port}"


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/"])
def test_the_answer_comes_in_pieces_with_the_version_that_gave_it(server: Server, suffix: str) -> None:
    pieces = list(ask(url_of(server) + suffix, Prompt("support", "Hi", system="Be brief."), key="secret"))
    assert "".join(piece.text for piece in pieces) == "Héllo"
    assert {piece.version for piece in pieces} == {"support@3"}
    assert pieces[-1].tokens == 2
    path, body, key = server.asked[0]
    assert (path, key) == ("/v1/chat/completions", "Bearer secret")
    assert body["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    assert body["temperature"] == 0.0


def test_raw_text_goes_to_completions(server: Server) -> None:
    assert "".join(piece.text for piece in ask(url_of(server), Prompt("support", "Hi", raw=True))) == "Héllo"
    assert server.asked[0][0] == "/v1/completions"
    assert server.asked[0][1]["prompt"] == "Hi"


@pytest.mark.parametrize(
    ("model", "kind", "said"),
    [
        ("nosuch", NotFound, "because 404"),
        ("big", Conflict, "because 422"),
        ("gone", Conflict, "because 410"),
        ("locked", NotAllowed, "wants a key"),
        ("odd", UsageError, "because 400"),
        ("broken", Unavailable, "because 500"),
        ("garbled", Unavailable, "answered 503: <html>"),
        ("dying", Unavailable, "out of memory"),
    ],
)
def test_the_servers_reason_is_passed_on(server: Server, model: str, kind: type[LorarackError], said: str) -> None:
    with pytest.raises(kind, match=said):
        list(ask(url_of(server), Prompt(model, "Hi")))


@pytest.mark.parametrize(
    ("key", "said"), [(None, "set LORARACK_TOKEN to its key"), ("wrong", "is not one of its keys")]
)
def test_a_server_that_wants_a_key_is_told_with_how_to_give_it(server: Server, key: str | None, said: str) -> None:
    with pytest.raises(NotAllowed, match=said) as refused:
        list(ask(url_of(server), Prompt("locked", "Hi"), key=key))
    assert "wrong" not in refused.value.message


@pytest.mark.parametrize("model", ["empty", "moved", "no json"])
def test_what_is_no_server_of_models_is_one_sentence(server: Server, model: str) -> None:
    with pytest.raises(Unavailable, match=r"gave no answer|answered 302|is no answer"):
        list(ask(url_of(server), Prompt(model, "Hi")))


@pytest.mark.parametrize("key", ["a key\n", "schlüssel", " s3cret", "a\x00b"])
def test_a_key_that_no_header_carries_is_not_sent_and_not_repeated(server: Server, key: str) -> None:
    with pytest.raises(NotAllowed, match="LORARACK_TOKEN") as refused:
        list(ask(url_of(server), Prompt("support", "Hi"), key=key))
    assert key not in refused.value.message
    assert server.asked == []


def test_a_question_that_is_no_unicode_is_wrong_usage(server: Server) -> None:
    with pytest.raises(UsageError, match="lone surrogate"):
        list(ask(url_of(server), Prompt("support", "\udcff")))


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("http://127.0.0.1:9", Unavailable),
        ("localhost", UsageError),
        ("http://[", UsageError),
        ("ftp://x", UsageError),
        ("http://a b", UsageError),
        ("http://x:99999", UsageError),
        ("http://x\n", UsageError),
    ],
)
def test_no_server_there_is_one_sentence(url: str, kind: type[LorarackError]) -> None:
    with pytest.raises(kind):
        list(ask(url, Prompt("support", "Hi")))
