"""The table of routes and the HTTP server."""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import unquote

from tests.hub_stand_in import api, downloads, uploads
from tests.hub_stand_in.hub import Hub
from tests.hub_stand_in.messages import Answer, Exchange, Refusal, Request

_ID = "([^/]+/[^/]+)"
#: Data sets are kept beside models, under a longer name.
_DATASET = "(datasets/[^/]+/[^/]+)"
_ROUTES: tuple[tuple[str, str, Callable[..., Answer]], ...] = (
    ("GET", "/api/whoami-v2", api.whoami),
    ("POST", "/api/repos/create", api.create),
    ("POST", "/api/validate-yaml", api.validate_yaml),
    ("GET", f"/api/models/{_ID}", api.info),
    ("GET", f"/api/models/{_ID}/revision/([^/]+)", api.info),
    ("GET", f"/api/models/{_ID}/tree/([^/]+)(?:/(.+))?", api.tree),
    ("POST", f"/api/models/{_ID}/paths-info/([^/]+)", api.paths_info),
    ("GET", f"/api/{_DATASET}", api.info),
    ("GET", f"/api/{_DATASET}/revision/([^/]+)", api.info),
    ("GET", f"/api/{_DATASET}/tree/([^/]+)(?:/(.+))?", api.tree),
    ("POST", f"/api/{_DATASET}/paths-info/([^/]+)", api.paths_info),
    ("HEAD|GET", f"/{_DATASET}/resolve/([^/]+)/(.+)", downloads.resolve),
    ("POST", f"/api/models/{_ID}/preupload/([^/]+)", api.preupload),
    ("POST", f"/api/models/{_ID}/commit/([^/]+)", api.commit),
    ("POST", rf"/{_ID}\.git/info/lfs/objects/batch", uploads.batch),
    ("POST", rf"/{_ID}\.git/info/lfs/verify", uploads.verify),
    ("PUT", "/stored/([0-9a-f]{64})", uploads.put),
    ("PUT", "/stored/([0-9a-f]{64})/parts/([0-9]+)", uploads.put_part),
    ("POST", "/stored/([0-9a-f]{64})/complete", uploads.complete),
    ("HEAD|GET", f"/{_ID}/resolve/([^/]+)/(.+)", downloads.resolve),
    ("HEAD|GET", f"/stored/{_ID}/([0-9a-f]{{40}})/(.+)", downloads.stored),
)


def route(hub: Hub, request: Request) -> Answer:
    """The answer to ``request``."""
    early = hub.before(request)
    if early is not None:
        return early
    for methods, pattern, handle in _ROUTES:
        found = re.fullmatch(pattern, request.path)
        if found and request.method in methods.split("|"):
            return handle(hub, request, *(unquote(part) for part in found.groups() if part is not None))
    return Refusal(404, f"No such route: {request.method} {request.path}").answer()


@contextmanager
def running(hub: Hub) -> Iterator[Hub]:
    """Serve ``hub`` on a free port of loopback; ``hub.url`` is its address.

    Large files go to and come from another host name, as they do with the Hub, so that the client drops its token there.
    """
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    port = server.server_address[1]
    hub.url, hub.storage_url = f"http://127.0.0.1:{port}", f"http://localhost:{port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news; anything else is printed."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, path, query, headers, self._body())
        with self.hub.lock:
            try:
                answer = route(self.hub, request)
            except Refusal as refusal:
                answer = refusal.answer()
            sent = 0 if self.command == "HEAD" else len(answer.body)
            self.hub.log.append(Exchange(self.command, path, answer.status, headers.get("range"), sent))
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body) if answer.length is None else answer.length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815 - names that http.server looks for

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in http.server
        """Keep quiet; ``hub.log`` has it all."""

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)
