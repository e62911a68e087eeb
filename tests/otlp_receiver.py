"""A small receiver of OpenTelemetry's protocol over HTTP: what a collector does, and no more."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Span:
    """One span, as it came."""

    name: str
    trace: str
    id: str
    parent: str
    kind: int
    service: str
    attributes: dict[str, Any]
    error: bool


@dataclass
class Receiver:
    """What was received so far, and where."""

    url: str = ""
    spans: list[Span] = field(default_factory=list)
    #: The very bytes, in which nothing secret may be.
    raw: bytes = b""

    def wait_for(self, enough: Callable[[list[Span]], bool], seconds: float = 20.0) -> list[Span]:
        """The spans, once they are enough; exporters send every few seconds."""
        end = time.monotonic() + seconds
        while not enough(list(self.spans)):
            assert time.monotonic() < end, [(span.name, span.trace) for span in self.spans]
            time.sleep(0.05)
        return list(self.spans)

    def take(self, body: bytes) -> None:
        """Keep what one request brings."""
        request = ExportTraceServiceRequest()
        request.ParseFromString(body)
        self.raw += body
        for resource in request.resource_spans:
            about = _attributes(resource.resource.attributes)
            for scope in resource.scope_spans:
                for one in scope.spans:
                    ids = (one.trace_id.hex(), one.span_id.hex(), one.parent_span_id.hex())
                    said = _attributes(one.attributes)
                    service = str(about.get("service.name"))
                    self.spans.append(Span(one.name, *ids, one.kind, service, said, one.status.code == 2))


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver on a free port of loopback."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            receiver.take(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in http.server
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}/v1/traces"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
