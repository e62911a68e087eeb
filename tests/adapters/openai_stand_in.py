"""A small real HTTP server on loopback that answers as an OpenAI-compatible one does."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Said:
    """One response: a text in OpenAI's form, unless ``body`` says something else altogether."""

    text: str = ""
    status: int = 200
    finish: str = "stop"
    model: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    hang_up: bool = False


@dataclass
class StandIn:
    """The running server: where it is, and what it was asked, in order of arrival."""

    url: str
    asked: list[dict[str, Any]]
    paths: list[str]
    keys: list[str | None]
    headers: list[dict[str, str]] = field(default_factory=list)
    most_at_once: int = 0


@contextmanager
def openai_server(answer: Callable[[dict[str, Any]], Said]) -> Iterator[StandIn]:
    """Answer each POST with what ``answer`` makes of its body."""
    lock = threading.Lock()
    now = [0]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else the body waits 40 ms for the client's acknowledgement of the headers

        def do_GET(self) -> None:
            """It knows no models by name, and answers for all."""
            raw = b'{"object": "list", "data": []}'
            self.send_response(200 if self.path.endswith("/models") else 404)
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with lock:
                stand_in.asked.append(body)
                stand_in.paths.append(self.path)
                stand_in.headers.append(dict(self.headers))
                stand_in.keys.append(self.headers.get("authorization"))
                now[0] += 1
                stand_in.most_at_once = max(stand_in.most_at_once, now[0])
            try:
                said = answer(body)
            finally:
                with lock:
                    now[0] -= 1
            if said.hang_up:
                self.close_connection = True
                return
            streams = bool(body.get("stream")) and said.status == 200
            raw = (_streamed if streams else _whole)(body, said) if said.body is None else said.body
            self.send_response(said.status)
            if streams:
                self.send_header("content-type", "text/event-stream")
            for name, value in said.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        request_queue_size = 1024  # connections come all at once

        def handle_error(self, *_: object) -> None:
            """A client that gave up is none of our business; what goes wrong in ``answer`` reaches the client as a hang-up."""

    server = Server(("127.0.0.1", 0), Handler)
    stand_in = StandIn(f"http://127.0.0.1:{server.server_address[1]}", [], [], [])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield stand_in
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _streamed(asked: dict[str, Any], said: Said) -> bytes:
    """Server-sent events: a word at a time, then the reason of the end, then the usage."""
    model = said.model or asked["model"]

    def event(*choices: dict[str, Any], **more: Any) -> str:
        return f"data: {json.dumps({'model': model, 'choices': choices, **more})}\n\n"

    def choice(text: str, finish: str | None) -> dict[str, Any]:
        content = {"delta": {"content": text}} if "messages" in asked else {"text": text}
        return {"index": 0, "finish_reason": finish, **content}

    words = re.findall(r"\S+\s*|\s+", said.text)
    parts = [event(choice(word, None)) for word in words]
    last = [
        event(choice("", said.finish)),
        event(usage={"completion_tokens": len(said.text.split())}),
        "data: [DONE]\n\n",
    ]
    return "".join([*parts, *last]).encode()


def _whole(asked: dict[str, Any], said: Said) -> bytes:
    return json.dumps(_openai(asked, said)).encode()


def _openai(asked: dict[str, Any], said: Said) -> dict[str, Any]:
    if said.status != 200:
        return {"error": {"message": said.text, "code": said.status}}
    content = {"message": {"role": "assistant", "content": said.text}} if "messages" in asked else {"text": said.text}
    return {
        "model": said.model or asked["model"],
        "choices": [{"index": 0, "finish_reason": said.finish, **content}],
        "usage": {"completion_tokens": len(said.text.split())},
    }
