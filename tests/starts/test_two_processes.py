"""Two API processes over one engine: the same ids and answers, whichever takes a request, and whole traces of both.

`make attack` has an engine for each process (data parallelism).

Its base has the first layers of the small one only: what is asked here does not depend on how many there are.
"""

import os
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.otlp_receiver import Receiver, Span, receiving
from tests.system.reference import Reference, cut_base
from tests.system.server import KEY, Server
from tests.system.session_adapters import six_adapters, tokens_of
from tests.system.session_server import BASE, FLAGS
from tests.system.test_served_equals_trained import LENGTH, check

from lorarack.registry import open_registry

pytestmark = [pytest.mark.system, pytest.mark.torch]

LAYERS = 4
TWO = ("--data-parallel-size", "2") if os.environ.get("LORARACK_ATTACK") else ("--api-server-count", "2")
NAMES = ("plain@1", "plain@2", "strong@1")
PROMPT = "Nobody may read this"
PATIENCE = 20.0


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture(scope="module")
def base(small_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cut_base(small_base, tmp_path_factory.mktemp("cut") / "base", LAYERS)


@pytest.fixture(scope="module")
def adapters(base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = six_adapters(base, tmp_path_factory.mktemp("adapters"))
    return {name: made[name] for name in NAMES}


@pytest.fixture(scope="module")
def reference(base: Path, adapters: dict[str, Path]) -> Reference:
    return Reference(base, adapters)


@pytest.fixture(scope="module")
def two(
    base: Path, adapters: dict[str, Path], receiver: Receiver, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("two") / "registry"
    with open_registry(home) as registry:
        registry.add_base(str(base), BASE)
        for name, folder in adapters.items():
            registry.publish(folder, name.partition("@")[0], base=BASE)
        registry.set_alias("plain", "prod", 1)
    flags = (*FLAGS, *TWO, "--otlp-traces-endpoint", receiver.url)
    variables = {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf", "OTEL_SERVICE_NAME": "lorarack"}
    running = Server(home, BASE, flags, **variables)
    try:
        running.wait()
        yield running
    finally:
        code = running.stop()
    assert code == 0, running.tail()


def ask(server: Server, name: str, prompt: Any, key: str = KEY, **headers: str) -> httpx.Response:
    """Over a connection of its own, which either process may take."""
    body = {
        "model": name, "prompt": prompt, "max_tokens": LENGTH, "temperature": 0, "prompt_logprobs": 0, "return_token_ids": True,
        "ignore_eos": True,
    }  # fmt: skip
    with httpx.Client(base_url=server.url, timeout=120) as client:
        return client.post("/v1/completions", json=body, headers={"authorization": f"Bearer {key}", **headers})


def process_of(server: Server, request_id: str) -> str:
    """Which process has logged the request."""
    line = server.logged(f"id {request_id}")
    found = re.search(r"ApiServer_(\d)", line)
    assert found, line
    return found[1]


def requests_counted(server: Server) -> float:
    lines = httpx.get(f"{server.url}/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if "lorarack_requests_total{" in line)


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_both_give_the_same_answers_under_the_same_ids(two: Server, reference: Reference) -> None:
    """Each version through each process, at the same time; every answer is held to PEFT."""
    names, prompt = (*NAMES, BASE), tokens_of(reference)[0]
    seen: dict[str, set[str]] = defaultdict(set)
    digests: dict[str, set[str]] = defaultdict(set)
    for _ in range(10):
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda name: (name, ask(two, name, prompt)), names * 3))
        for name, answer in answers:
            assert answer.status_code == 200, answer.text
            assert answer.headers["x-lorarack-version"] == answer.json()["model"] == name
            seen[name].add(process_of(two, answer.headers["x-request-id"]))
            digests[name].add(answer.headers["x-lorarack-digest"])
            check(answer.json(), name, prompt, reference)
        if all(seen[name] == {"0", "1"} for name in names):
            break
    assert all(seen[name] == {"0", "1"} for name in names), seen
    assert all(len(found) == 1 for found in digests.values())
    # The series of both together, whichever is asked for them; a request is counted right after it is logged.
    until(lambda: requests_counted(two) == two.log.read_text(errors="replace").count("POST /v1/completions by "))


def test_both_follow_aliases_and_keys(two: Server) -> None:
    made = two.registry.keys.add("shop", adapters=["plain"])

    def statuses() -> set[int]:
        with ThreadPoolExecutor(8) as pool:
            return {
                answer.status_code for answer in pool.map(lambda _: ask(two, "plain@prod", "x", made.secret), range(8))
            }

    until(lambda: statuses() == {200})
    two.registry.set_alias("plain", "prod", 2)
    until(lambda: {ask(two, "plain@prod", "x").json()["model"] for _ in range(8)} == {"plain@2"})
    two.registry.keys.revoke("shop")
    until(lambda: statuses() == {401})


def test_traces_of_both_are_whole(two: Server, receiver: Receiver) -> None:
    """The client's span, then ours, then vLLM's; with the request's id, the version and its digest, and no text of anybody."""
    traces = {f"{number:032x}": f"{number:016x}" for number in range(1, 13)}
    ids: dict[str, httpx.Response] = {}
    with ThreadPoolExecutor(6) as pool:
        answers = pool.map(
            lambda pair: ask(two, "strong", PROMPT, traceparent=f"00-{pair[0]}-{pair[1]}-01"), traces.items()
        )
        ids = dict(zip(traces, answers, strict=True))
    assert {process_of(two, answer.headers["x-request-id"]) for answer in ids.values()} == {"0", "1"}

    def of(found: list[Span], trace: str) -> dict[str, Span]:
        return {span.name: span for span in found if span.trace == trace}

    found = receiver.wait_for(lambda found: all("llm_request" in of(found, trace) for trace in traces))
    found = receiver.wait_for(lambda found: all("text_completion strong" in of(found, trace) for trace in traces))
    for trace, answer in ids.items():
        spans = of(found, trace)
        request, engine = spans["text_completion strong"], spans["llm_request"]
        assert request.parent == traces[trace]
        assert engine.parent == spans["lorarack.queue"].parent == spans["lorarack.resolve"].parent == request.id
        assert {span.service for span in spans.values()} == {"lorarack"}
        assert request.attributes["gen_ai.response.model"] == "strong@1"
        assert request.attributes["gen_ai.usage.output_tokens"] == LENGTH
        assert request.attributes["lorarack.adapter.digest"] == answer.headers["x-lorarack-digest"]
        assert request.attributes["lorarack.request.id"] == answer.headers["x-request-id"]
        assert answer.headers["x-request-id"] in engine.attributes["gen_ai.request.id"]
    loads = [span for span in found if span.name == "lorarack.load.engine"]
    assert {span.attributes["lorarack.adapter.name"] for span in loads} == {"plain", "strong"}
    for hidden in (PROMPT, KEY):
        assert hidden.encode() not in receiver.raw
