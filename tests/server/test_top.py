"""`top` reads what a server says of itself, and says what is wrong where none does."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from tests.command_line import lorarack
from tests.system.server import free_port

from lorarack.registry.openai_client import ModelServer
from lorarack.server.top import VersionLoad, look

#: One hundred first tokens: half of them within 20 ms, all within 40.
METRICS = """
lorarack_requests_total{version="support@3",status="200"} 90
lorarack_requests_total{version="support@3",status="503"} 10
lorarack_requests_total{version="other",status="200"} 7
lorarack_request_errors_total{version="support@3"} 10
lorarack_generation_tokens_total{version="support@3"} 1000
lorarack_evictions_total{version="other"} 4
lorarack_evictions_total{version="support@3"} 1
lorarack_requests_running{version="support@3"} 2
lorarack_requests_waiting{version="support@3"} 1
lorarack_time_to_first_token_seconds_bucket{version="support@3",le="0.01"} 0
lorarack_time_to_first_token_seconds_bucket{version="support@3",le="0.02"} 50
lorarack_time_to_first_token_seconds_bucket{version="support@3",le="0.04"} 100
lorarack_time_to_first_token_seconds_bucket{version="support@3",le="+Inf"} 100
vllm:num_requests_running 2
"""
ROW = (
    '{"reference": "support@3", "state": "ready", "pinned": true, "rank": 8, "requests": 5},'
    '{"reference": "support@4", "state": "fetching", "pinned": false, "rank": 16, "requests": 1}'
)
PAGES = {
    "/ready": (503, '{"ready": false, "reason": "the registry could not be followed"}'),
    "/v1/residency": (200, f'{{"base": "smol", "capacity": 4, "data": [{ROW}]}}'),
    "/metrics": (200, METRICS),
}


class Handler(BaseHTTPRequestHandler):
    pages = PAGES

    def do_GET(self) -> None:
        status, text = self.pages.get(self.path, (404, "{}"))
        self.send_response(status)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        pass


@pytest.fixture
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_what_a_server_says_is_put_together_by_version(url: str) -> None:
    """Medians lie between the bounds of their bucket; what waits for its version waits as well."""
    found = look(ModelServer(url))
    assert (found.base, found.ready, found.reason) == ("smol", False, "the registry could not be followed")
    assert (found.loaded, found.capacity, found.evictions) == (1, 4, 5)
    assert found.versions == (
        VersionLoad("support@3", "ready", True, 8, 2, 3, 100, 10, 1000, 0.02, None),
        VersionLoad("support@4", "fetching", False, 16, 0, 1),
        VersionLoad("other", requests=7),
    )


def test_what_is_no_server_of_ours_is_said(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = lorarack("top", "--json", "--url", f"http://127.0.0.1:{free_port()}")
    assert (nobody.code, "No server" in nobody.err or "no server" in nobody.err) == (1, True), nobody.err
    monkeypatch.setattr(Handler, "pages", {"/ready": (200, "{}"), "/v1/residency": (200, "[]"), "/metrics": (200, "")})
    other = lorarack("top", "--json", "--url", url)
    assert (other.code, "no lorarack server" in other.err) == (1, True), other.err
