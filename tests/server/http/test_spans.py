"""Spans of OpenTelemetry, from a gateway to a real receiver: off unless asked for, one tree a request, and nothing secret in it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import httpx
import pytest
from tests.otlp_receiver import Receiver, Span, receiving
from tests.server.http.echo import client_of
from tests.server.values import RecordingEngine, ring

from lorarack.registry import Version, open_registry
from lorarack.registry.errors import StoreError
from lorarack.server import spans
from lorarack.server.app_state import AppState
from lorarack.server.http.api_key import ApiKeyMiddleware
from lorarack.server.http.asgi import Receive, Scope, Send, header, send_json
from lorarack.server.http.model_resolver import ModelResolverMiddleware
from lorarack.server.local_cache import LocalCache
from lorarack.server.policies.admit import Admit
from lorarack.server.proof import Proof
from lorarack.server.residency import Residency
from lorarack.server.settings import AdmissionLimits

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SECRET = "a-key-that-nobody-may-see"
PROMPT = "a prompt that nobody may see"


async def model(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the trace that it was called in."""
    message = await receive()
    assert not message.get("more_body")
    trace = header(scope, b"traceparent").decode()
    usage = {"prompt_tokens": 3, "completion_tokens": 5}
    await send_json(send, 200, {"id": "cmpl-1", "text": f"an answer to {PROMPT}", "trace": trace, "usage": usage})


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """One that this process sends to. The provider is not the process's own, which can be set but once."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    with receiving() as made:
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=made.url)))
        spans.trace_with(provider.get_tracer("test"))
        try:
            yield made
        finally:
            spans.trace_with(None)
            provider.shutdown()


@pytest.fixture
async def gateway(state: AppState, tmp_path: Path) -> httpx.AsyncClient:
    """Over the registry of the other tests, with a cache from which files are really fetched."""
    registry = open_registry(tmp_path / "home")
    cache = LocalCache(tmp_path / "cache", registry)
    residency = Residency(RecordingEngine(), cache.open_copy, state.limits, probe=probed)
    limits = AdmissionLimits(max_waiting=9)
    made = AppState.build(state.base_names, state.resolver, residency, admit=Admit.within(limits, 4))
    return client_of(ApiKeyMiddleware(ModelResolverMiddleware(model, lambda: made), ring(SECRET)))


async def probed(_: Version) -> Proof:
    return Proof("it does something")


async def ask(client: httpx.AsyncClient, name: str, **headers: str) -> httpx.Response:
    return await client.post(
        "/v1/completions", json={"model": name, "prompt": PROMPT}, headers={"x-api-key": SECRET, **headers}
    )


def tree(found: list[Span]) -> dict[str, list[str]]:
    names = {span.id: span.name for span in found}
    below: dict[str, list[str]] = {}
    for span in found:
        below.setdefault(names.get(span.parent, span.parent), []).append(span.name)
    return {name: sorted(children) for name, children in below.items()}


async def test_a_request_and_the_load_that_it_waits_for_are_one_tree(
    gateway: httpx.AsyncClient, receiver: Receiver
) -> None:
    """Below the client's own span; what is further in gets ours as its parent, so vLLM's lies below it."""
    async with gateway as client:
        first = await ask(client, "support@prod", traceparent=f"00-{TRACE}-{PARENT}-01", tracestate="vendor=1")
        again = await ask(client, "support@1", traceparent=f"00-{TRACE}-{PARENT}-01")
    one = [
        span for span in receiver.spans if span.attributes.get("lorarack.request.id") == first.headers["x-request-id"]
    ]
    (request,) = one
    assert {span.trace for span in receiver.spans} == {TRACE}
    assert tree(receiver.spans) == {
        PARENT: ["text_completion support@1", "text_completion support@prod"],
        "text_completion support@prod": ["lorarack.queue", "lorarack.resolve", "lorarack.wait_for_load"],
        "text_completion support@1": ["lorarack.queue", "lorarack.resolve"],
        "lorarack.wait_for_load": [
            "lorarack.load.engine", "lorarack.load.fetch", "lorarack.load.probe", "lorarack.load.verify",
        ],
    }  # fmt: skip
    assert first.json()["trace"] == f"00-{TRACE}-{request.id}-01"
    assert again.json()["trace"].startswith(f"00-{TRACE}-")
    assert request.kind == 2, "a server's"
    digest = first.headers["x-lorarack-digest"]
    assert request.attributes == {
        "gen_ai.operation.name": "text_completion", "gen_ai.provider.name": "vllm", "gen_ai.request.model": "support@prod",
        "gen_ai.response.model": "support@1", "gen_ai.response.id": "cmpl-1", "gen_ai.usage.input_tokens": 3,
        "gen_ai.usage.output_tokens": 5, "http.request.method": "POST", "http.route": "/v1/completions",
        "http.response.status_code": 200, "lorarack.request.id": first.headers["x-request-id"], "lorarack.key.name": "key-1",
        "lorarack.adapter.name": "support", "lorarack.adapter.version": 1, "lorarack.adapter.digest": digest,
        "lorarack.adapter.rank": 4,
    }  # fmt: skip
    loads = [span for span in receiver.spans if span.name.startswith("lorarack.load")]
    assert {span.attributes["lorarack.adapter.digest"] for span in loads} == {digest}


async def test_no_prompt_answer_or_key_is_in_a_span(gateway: httpx.AsyncClient, receiver: Receiver) -> None:
    async with gateway as client:
        for name in ("support", "tiny", "nosuch", "support@2"):
            await ask(client, name)
        await client.post("/v1/completions", content=b'{"model": 1}', headers={"x-api-key": SECRET})
    assert {span.name for span in receiver.spans} >= {"text_completion tiny", "text_completion support"}
    for hidden in (SECRET, PROMPT, "nobody may see"):
        assert hidden.encode() not in receiver.raw


@pytest.mark.parametrize(("name", "status"), [("nosuch", 404), ("support@2", 422)])
async def test_what_a_client_did_wrong_is_not_an_error_of_the_server(
    gateway: httpx.AsyncClient, receiver: Receiver, name: str, status: int
) -> None:
    """An unknown name makes no name of a span either: there may be any number of them."""
    async with gateway as client:
        assert (await ask(client, name)).status_code == status
    (request,) = [span for span in receiver.spans if span.kind == 2]
    (resolving,) = [span for span in receiver.spans if span.name == "lorarack.resolve"]
    assert (request.name, request.error) == ("POST /v1/completions", False)
    assert request.attributes["error.type"] == str(status)
    assert resolving.error


async def test_a_registry_that_is_away_is_an_error(
    gateway: httpx.AsyncClient, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> IO[bytes]:
        raise StoreError("The disk of the registry is away.")

    monkeypatch.setattr(LocalCache, "_fetch", away)
    async with gateway as client:
        assert (await ask(client, "support")).status_code == 503
    (request,) = [span for span in receiver.spans if span.kind == 2]
    (waiting,) = [span for span in receiver.spans if span.name == "lorarack.wait_for_load"]
    assert request.error
    assert waiting.attributes["error.type"] == StoreError("x").code


async def test_off_a_trace_passes_as_it_is(gateway: httpx.AsyncClient) -> None:
    given = f"00-{TRACE}-{PARENT}-01"
    async with gateway as client:
        assert (await ask(client, "support", traceparent=given)).json()["trace"] == given


def test_off_opentelemetry_is_not_imported() -> None:
    code = (
        "import sys, lorarack.server.app_state, lorarack.server.http.model_resolver\n"
        "from lorarack.server import spans\n"
        "assert spans.span('a') is spans.span('b')\n"
        "spans.flush()\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
