"""A hostile client, with and without a key, against the HTTP side."""

import asyncio
import json
import socket
import time
from itertools import product
from statistics import median
from typing import Any

import httpx
import openai
import pytest
from tests.system.server import KEY, Server
from tests.system.session_server import BASE

pytestmark = pytest.mark.system

ADAPTER = "X-Amzn-SageMaker-Adapter-Identifier"
CHAT: list[Any] = [{"role": "user", "content": "Say hello."}]


def loads(server: Server) -> int:
    return server.log.read_text(errors="replace").count("Loaded ")


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics", "/ping", "/version", "/invocations", "/v1/nosuch"])
def test_without_a_key_nothing_is_read_loaded_or_told(attacked: Server, path: str) -> None:
    before = loads(attacked)
    with httpx.Client(base_url=attacked.url) as stranger:
        for method, model in product(("POST", "PUT", "PATCH", "DELETE", "OPTIONS"), ("strong@1", "nosuch", BASE)):
            response = stranger.request(method, path, json={"model": model, "prompt": "x"})
            assert response.status_code == 401, method
            assert not {"x-lorarack-version", "x-lorarack-digest"} & set(response.headers), method
            assert "strong" not in response.text, method
    assert loads(attacked) == before


def test_without_a_key_a_body_is_not_waited_for(attacked: Server) -> None:
    """The answer comes before the body, of whatever length it is said to be."""
    with socket.create_connection(("127.0.0.1", attacked.port), timeout=10) as line:
        line.sendall(
            b"POST /health HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9999999999\r\n\r\n"
        )
        assert b" 401 " in line.recv(4096).partition(b"\r\n")[0]


@pytest.mark.parametrize(
    ("model", "given", "answers"),
    [("plain@2", None, "plain@2"), (BASE, "strong", "strong@1"), (None, "strong@1", "strong@1"), (None, None, BASE),
     ("strong@1", "strong@1", "strong@1"), (BASE, BASE, BASE)],
)  # fmt: skip
def test_sagemakers_route_and_header_say_what_answered(
    attacked: Server, model: str | None, given: str | None, answers: str
) -> None:
    body = {"model": model, "prompt": "Once upon a time", "max_tokens": 6, "temperature": 0}
    if model is None:
        del body["model"]
    response = attacked.client.post("/invocations", json=body, headers={ADAPTER: given} if given else {})
    assert response.status_code == 200, response.text
    truth = attacked.complete(answers, "Once upon a time", max_tokens=6)
    assert response.json()["choices"][0]["text"] == truth["choices"][0]["text"]
    assert response.json()["model"] == response.headers["x-lorarack-version"] == answers


def test_sagemakers_header_reaches_nothing_that_is_not_served(attacked: Server) -> None:
    for given, status in (("nosuch", 404), ("../../etc", 404), ("strong@9", 404)):
        body = {"prompt": "x", "max_tokens": 1}
        assert attacked.client.post("/invocations", json=body, headers={ADAPTER: given}).status_code == status
    two = attacked.client.post("/invocations", json={"model": "plain", "prompt": "x"}, headers={ADAPTER: "strong"})
    assert two.status_code == 400


def test_a_model_named_twice_in_one_body_answers_as_it_says(attacked: Server) -> None:
    raw = b'{"model": "smol", "prompt": "Hi", "max_tokens": 1, "model": "strong"}'
    response = attacked.client.post("/v1/completions", content=raw, headers={"content-type": "application/json"})
    assert response.json()["model"] == response.headers["x-lorarack-version"] == "strong@1"


def test_paths_without_a_route_load_nothing(attacked: Server) -> None:
    before = loads(attacked)
    for path in ("/v1/nosuch", "/v1/models", "/version", "/v1/completions/x", "/docs"):
        response = attacked.post(path, model="partial@1", prompt="x")
        assert response.status_code in (404, 405), path
        assert "x-lorarack-version" not in response.headers
    assert loads(attacked) == before


@pytest.mark.parametrize(
    ("raw", "status"),
    [(b"[" * 200_000, 400), (b'{"model":' * 200_000, 400),
     (b'{"model": "strong", "prompt": ' + b"[" * 500 + b"]" * 500 + b"}", 400), (b"", 400),
     (b"\xff\xfe\x00", 400), (b'{"model": ["strong"], "prompt": "x"}', 400)],
)  # fmt: skip
def test_bodies_that_no_parser_survives(attacked: Server, raw: bytes, status: int) -> None:
    response = attacked.client.post("/v1/completions", content=raw, headers={"content-type": "application/json"})
    assert response.status_code == status
    assert "Traceback" not in response.text


def test_a_body_over_the_limit_is_not_kept(attacked: Server) -> None:
    """Chunks without a length: what comes after the limit is dropped, and memory stays as it was."""

    def chunks() -> Any:
        yield b'{"model": "smol", "prompt": "'
        for _ in range(600):
            yield b"x" * (1 << 20)

    headers = {"content-type": "application/json"}
    assert attacked.client.post("/v1/completions", content=chunks(), headers=headers).status_code == 413


def test_how_other_servers_are_asked_is_not_answered_by_the_base(attacked: Server) -> None:
    for name in ("adapter_id", "lora_path", "lora_request", "lora_name", "adapter_source"):
        response = attacked.post("/v1/completions", model=BASE, prompt="x", max_tokens=1, **{name: "strong"})
        assert response.status_code == 400
        assert '"model": "support@3"' in response.json()["error"]["message"]


def test_what_never_will_answer_is_asked_for_once(attacked: Server) -> None:
    """OpenAI's client sends again what it gets 408, 409, 429 or a status from 500 on for."""
    asked: list[httpx.Request] = []
    hooks: Any = httpx.Client(event_hooks={"request": [asked.append]})
    with openai.OpenAI(base_url=f"{attacked.url}/v1", api_key=KEY, max_retries=3, http_client=hooks) as client:
        for model in ("nosuch", "strong@9", "Strong", "smol:strong"):
            asked.clear()
            with pytest.raises(openai.APIStatusError):
                client.chat.completions.create(model=model, messages=CHAT, max_tokens=1)
            assert len(asked) == 1, model


def test_a_storm_of_unknown_names_delays_nobody(attacked: Server) -> None:
    async def storm() -> int:
        headers = {"authorization": f"Bearer {KEY}"}
        limits = httpx.Limits(max_connections=32)
        async with httpx.AsyncClient(base_url=attacked.url, headers=headers, timeout=60, limits=limits) as client:
            names = [client.post("/v1/completions", json={"model": f"nosuch-{n}", "prompt": "x"}) for n in range(200)]
            running = asyncio.gather(*names)
            answered = 0
            while not running.done():
                assert (await client.get("/ready")).status_code == 200
                answered += 1
            assert {answer.status_code for answer in await running} == {404}
            return answered

    assert asyncio.run(storm()) > 3


def test_websockets_are_turned_down_with_a_sentence(attacked: Server) -> None:
    request = (
        "GET /v1/realtime HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer {KEY}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", attacked.port), timeout=10) as line:
        line.sendall(request.encode())
        answer = line.recv(65536)
    assert b" 403 " in answer.partition(b"\r\n")[0]


def test_the_list_of_models_does_not_wait_for_the_engine(attacked: Server) -> None:
    """While it works on long prompts: no longer than what never asks the engine, on a busy machine too."""

    async def measure() -> tuple[float, float]:
        headers = {"authorization": f"Bearer {KEY}"}
        async with httpx.AsyncClient(base_url=attacked.url, headers=headers, timeout=120) as client:
            body = {"model": "strong", "prompt": "word " * 400, "max_tokens": 16}
            busy = asyncio.gather(*(client.post("/v1/completions", json=body | {"seed": n}) for n in range(8)))
            await asyncio.sleep(0.3)
            times: dict[str, list[float]] = {"/v1/models": [], "/health": []}
            while not busy.done():
                for path, seconds in times.items():
                    began = time.perf_counter()
                    assert (await client.get(path)).status_code == 200
                    seconds.append(time.perf_counter() - began)
                await asyncio.sleep(0.05)
            assert {answer.status_code for answer in await busy} == {200}
            return median(times["/v1/models"]), median(times["/health"])

    models, health = asyncio.run(measure())
    assert models < health + 0.3


def test_errors_are_json_in_the_shape_of_the_route(attacked: Server) -> None:
    openai_shape = httpx.post(f"{attacked.url}/v1/chat/completions", json={"model": BASE}).json()
    assert openai_shape["error"]["code"] == "not_allowed"
    anthropic_shape = httpx.post(f"{attacked.url}/v1/messages", json={"model": BASE}).json()
    assert anthropic_shape["error"]["type"] == "authentication_error"
    assert json.dumps(anthropic_shape)
