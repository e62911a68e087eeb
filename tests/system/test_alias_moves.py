"""An alias moves while it is asked by many: nobody gets an error, and nobody an answer of a version that it did not name."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.system.reference import Reference, make_adapter
from tests.system.server import Server
from tests.system.session_server import BASE

pytestmark = [pytest.mark.system, pytest.mark.torch]

VERSIONS, CLIENTS, TOKENS = 4, 6, 3
#: Of a log probability, both in float32.
TOLERANCE = 2e-3
TEXT = "Water boils at a temperature of one hundred"


@dataclass(frozen=True)
class Answer:
    """One answer: the newest version that anybody had seen when it was asked for, and the newest that was set when it came."""

    version: int
    seen_before: int
    set_by_end: int
    body: dict[str, Any]


class Crowd:
    """Asks one alias, many at a time, until it is told to stop."""

    def __init__(self, server: Server, prompt: list[int]) -> None:
        self.answers: list[Answer] = []
        self.failures: list[str] = []
        self.alias_at = 1
        self._seen = 1
        self._server, self._prompt = server, prompt
        self._lock, self._done = threading.Lock(), threading.Event()

    def ask_on(self) -> None:
        while not self._done.is_set():
            with self._lock:
                seen = self._seen
            response = self._server.post(
                "/v1/completions", model="moving@live", prompt=self._prompt, temperature=0, max_tokens=TOKENS,
                logprobs=0, return_token_ids=True, ignore_eos=True,
            )  # fmt: skip
            if response.status_code != 200:
                self.failures.append(response.text)
                return
            body, header = response.json(), response.headers["x-lorarack-version"]
            assert body["model"] == header
            version = int(header.partition("@")[2])
            with self._lock:
                self._seen = max(self._seen, version)
                self.answers.append(Answer(version, seen, self.alias_at, body))

    def move(self, version: int) -> None:
        with self._lock:
            self.alias_at = version
        self._server.registry.set_alias("moving", "live", version)

    def wait_for(self, version: int) -> None:
        """Until it has answered everybody."""
        end = time.monotonic() + 60
        while sum(answer.version == version for answer in tuple(self.answers)) < 2 * CLIENTS:
            assert not self.failures, self.failures
            assert time.monotonic() < end, f"moving@{version} did not answer"
            time.sleep(0.02)

    def stop(self) -> None:
        self._done.set()


@pytest.fixture(scope="module")
def folders(small_base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("moves")
    return {
        f"moving@{number}": make_adapter(small_base, place / str(number), 4 * number, 60 + number, 0.15)
        for number in range(1, VERSIONS + 1)
    }


def test_an_alias_moves_under_load(server: Server, reference: Reference, folders: dict[str, Path]) -> None:
    """Each answer is of the version that its header names: by its own log probabilities, held against PEFT's.

    And of one that the alias named meanwhile: not before it was set, and not after somebody saw a newer one.
    """
    for name, folder in folders.items():
        assert server.registry.publish(folder, "moving", base=BASE).version.reference == name
    server.registry.set_alias("moving", "live", 1)
    reference.add(folders)
    prompt = reference.tokenizer(TEXT)["input_ids"]
    crowd = Crowd(server, prompt)
    with ThreadPoolExecutor(CLIENTS) as pool:
        asking = [pool.submit(crowd.ask_on) for _ in range(CLIENTS)]
        try:
            for version in range(2, VERSIONS + 1):
                crowd.wait_for(version - 1)
                crowd.move(version)
            crowd.wait_for(VERSIONS)
        finally:
            crowd.stop()
        for task in asking:
            task.result()
    assert not crowd.failures
    for answer in crowd.answers:
        assert answer.seen_before <= answer.version <= answer.set_by_end
        check_logprobs(reference, f"moving@{answer.version}", prompt, answer.body)
    until_gone(server, {f"moving@{number}" for number in range(2, VERSIONS)})


def check_logprobs(truth: Reference, name: str, prompt: list[int], body: dict[str, Any]) -> None:
    """What the server says of its own tokens is what PEFT says of them with this adapter, and with no other."""
    choice = body["choices"][0]
    expected = truth.truth(name, [*prompt, *choice["token_ids"]]).logprobs[len(prompt) - 1 :]
    assert choice["logprobs"]["token_logprobs"] == pytest.approx(expected, abs=TOLERANCE)


def until_gone(server: Server, names: set[str]) -> None:
    """What no alias names any more is unloaded: the server's table says so."""
    end = time.monotonic() + 20
    while True:
        rows = server.client.get("/v1/residency").json()["data"]
        left = names & {row["reference"] for row in rows if row["state"] != "failed"}
        if not left:
            return
        assert time.monotonic() < end, f"still there: {left}"
        time.sleep(0.1)
