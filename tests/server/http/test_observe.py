"""Every request that a model may answer is observed once: its caller, its route, its status, its tokens, its times."""

import logging
from collections.abc import AsyncIterator

import httpx
import pytest
from tests.server.http.echo import client_of
from tests.server.values import ring

from lorarack.server.app_state import AppState
from lorarack.server.caller import ANONYMOUS, Caller
from lorarack.server.exchange import Exchange, Observer, Usage
from lorarack.server.http.api_key import ApiKeyMiddleware
from lorarack.server.http.asgi import App, Receive, Scope, Send
from lorarack.server.http.model_resolver import ModelResolverMiddleware
from lorarack.server.http.observe import observed


def answering(*pieces: bytes, status: int = 200) -> App:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})
        for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    return app


async def seen(app: App) -> tuple[Exchange, list[str]]:
    events: list[str] = []
    exchange = Exchange(ANONYMOUS, "POST /x")
    observer = Observer(
        start=lambda _: events.append("start"),
        first_byte=lambda found: events.append(f"first {found.status}"),
        end=lambda _: events.append("end"),
    )

    async def send(message: object) -> None:
        events.append("sent")

    with observed(exchange, send, [observer]) as watched:
        await app({}, None, watched)  # type: ignore[arg-type]
    return exchange, events


async def test_start_first_byte_and_end_are_told_once_each() -> None:
    exchange, events = await seen(answering(b"", b"one", b"two"))
    assert events == ["start", "sent", "sent", "first 200", "sent", "sent", "sent", "end"]
    assert exchange.status == 200
    assert exchange.first_byte is not None
    assert exchange.seconds is not None
    assert 0 <= exchange.first_byte <= exchange.seconds
    assert exchange.usage is None


async def test_what_fails_has_ended_too() -> None:
    events: list[str] = []

    async def send(message: object) -> None:
        raise ConnectionError

    exchange = Exchange(ANONYMOUS, "POST /x")
    with (
        pytest.raises(ConnectionError),
        observed(exchange, send, [Observer(end=lambda _: events.append("end"))]) as watched,
    ):
        await answering(b"x")({}, None, watched)  # type: ignore[arg-type]
    assert events == ["end"]


@pytest.mark.parametrize(
    "pieces",
    [
        (b'{"choices": [], "usage": {"prompt_tokens": 30, "total_tokens": 42, "completion_tokens": 12}}',),
        (b"data: {}\n\n", b'data: {"usage":{"prompt_tokens":30,"total_tokens":42,"completion_tokens":12}}\n\ndata: [DONE]\n\n'),
        (b'{"usage":{"input_tokens":30,', b'"output_tokens":12}}'),
        (b"x" * 100_000, b'{"usage":{"prompt_tokens":30,"completion_tokens":12,"prompt_tokens_details":null}}'),
    ],
)  # fmt: skip
async def test_tokens_are_read_as_openai_and_anthropic_count_them(pieces: tuple[bytes, ...]) -> None:
    assert (await seen(answering(*pieces)))[0].usage == Usage(30, 12)


async def test_an_answers_text_cannot_pretend_to_be_its_usage() -> None:
    text = rb'{"text": "\"prompt_tokens\": 9, \"completion_tokens\": 9"}'
    assert (await seen(answering(text)))[0].usage is None


@pytest.fixture
async def keyed(state: AppState) -> AsyncIterator[httpx.AsyncClient]:
    app = answering(b'{"usage":{"prompt_tokens":3,"completion_tokens":4}}')
    inner = ModelResolverMiddleware(app, lambda: state)
    async with client_of(ApiKeyMiddleware(inner, ring("first-secret", "second-secret"))) as made:
        made.headers["x-api-key"] = "second-secret"
        yield made


async def test_the_log_has_a_line_for_each_request_and_no_key(
    keyed: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "lorarack.server.request_log"):
        await keyed.post("/v1/completions", json={"model": "support@prod", "prompt": "private"})
        await keyed.post("/v1/completions", json={"model": "nosuch"})
        await keyed.get("/v1/models")
    one, other = (record.getMessage() for record in caplog.records if record.name.endswith("request_log"))
    assert one.startswith("POST /v1/completions by key-2: support@1 sha256:")
    assert "status 200" in one
    assert "tokens 3+4" in one
    assert other.startswith("POST /v1/completions by key-2: -, status 404")
    assert not any(word in caplog.text for word in ("secret", "private"))


async def test_the_key_check_says_who_asks(state: AppState) -> None:
    asked: list[Caller] = []

    class State:
        observers = (Observer(start=lambda exchange: asked.append(exchange.caller)),)
        open_requests, router, base_names = state.open_requests, state.router, state.base_names

    inner = ModelResolverMiddleware(answering(b"x"), State)  # type: ignore[arg-type]
    async with client_of(ApiKeyMiddleware(inner, ring("a", "b"))) as asking, client_of(inner) as open_to_all:
        for key in ("b", "a", "wrong"):
            await asking.post("/v1/completions", json={}, headers={"authorization": f"Bearer {key}"})
        await open_to_all.post("/v1/completions", json={}, headers={"authorization": "Bearer a"})
    assert asked == [Caller("key-2"), Caller("key-1"), ANONYMOUS]
