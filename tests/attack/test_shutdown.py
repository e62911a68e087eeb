"""A server that is told to stop: what is under way ends whole, and nothing new gets an empty answer."""

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.system.server import KEY, Server, events
from tests.system.session_server import BASE, FLAGS

from lorarack.registry import open_registry

pytestmark = [pytest.mark.system, pytest.mark.long]


@pytest.fixture
def own(small_base: Path, adapters: dict[str, Path], tmp_path: Path) -> Iterator[Server]:
    home = tmp_path / "registry"
    with open_registry(home) as registry:
        registry.add_base(str(small_base), BASE)
        registry.publish(adapters["strong@1"], "strong", base=BASE)
    running = Server(home, BASE, (*FLAGS, "--shutdown-timeout", "60"))  # enough for a busy machine
    try:
        running.wait()
        yield running
    finally:
        assert running.stop() == 0, running.tail()


@pytest.mark.parametrize("how", [signal.SIGTERM])
def test_streams_end_whole_and_everybody_else_is_sent_away(own: Server, how: signal.Signals) -> None:
    own.complete("strong", "Hello", max_tokens=1)
    pieces: list[str] = []
    begun = threading.Event()

    def stream() -> None:
        body = {"model": "strong", "prompt": "Once", "max_tokens": 200, "ignore_eos": True, "stream": True}
        with own.client.stream("POST", "/v1/completions", json=body) as response:
            for line in response.iter_lines():
                pieces.append(line)
                begun.set()

    under_way = threading.Thread(target=stream)
    under_way.start()
    assert begun.wait(60)
    own.process.send_signal(how)
    seen: set[int] = set()
    with httpx.Client(base_url=own.url, headers={"authorization": f"Bearer {KEY}"}, timeout=30) as client:
        time.sleep(0.05)
        while under_way.is_alive():
            for model in ("strong", BASE):
                response = client.post("/v1/completions", json={"model": model, "prompt": "x", "max_tokens": 1})
                seen.add(response.status_code)
                assert int(response.headers["retry-after"]) > 0
            assert client.get("/ready").status_code == 503
            assert client.get("/v1/models").status_code == 200
            time.sleep(0.05)
    assert seen == {503}
    answer = events("\n".join(pieces))
    assert answer[-1]["choices"][0]["finish_reason"] == "length"
    assert sum(len(piece["choices"]) for piece in answer) >= 200
    assert own.process.wait(90) == 0
