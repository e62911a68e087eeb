"""References are model names on every route, streaming or not, and every answer says exactly what answered."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest
from tests.json_schemas import hold
from tests.system.server import KEY, Server, events
from tests.system.session_server import BASE

from lorarack.server.http.route_table import POST_ROUTES, Kind

pytestmark = pytest.mark.system

HELLO: list[Any] = [{"role": "user", "content": "Say hello."}]
_GREEDY = {"temperature": 0, "max_tokens": 12}
#: A request for each route that answers with a model.
SAMPLES: dict[str, dict[str, Any]] = {
    "/v1/completions": {"prompt": "Once upon a time", **_GREEDY},
    "/invocations": {"prompt": "Once upon a time", **_GREEDY},
    "/v1/chat/completions": {"messages": HELLO, **_GREEDY},
    "/v1/chat/completions/batch": {"messages": [HELLO, HELLO], **_GREEDY},
    "/v1/responses": {"input": "Say hello.", "temperature": 0, "max_output_tokens": 12},
    "/v1/messages": {"messages": HELLO, **_GREEDY},
    "/generative_scoring": {"query": "Is it?", "items": ["Yes", "No"], "label_token_ids": [1, 2]},
    "/tokenize": {"prompt": "Hello"},
    "/detokenize": {"tokens": [1, 2, 3]},
    "/v1/messages/count_tokens": {"messages": HELLO},
}
#: Where the answer stands in a body, whatever the route.
ANSWER_KEYS = ("choices", "content", "data", "tokens", "prompt", "input_tokens", "results", "scores")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/completions", {"prompt": "Hello", "max_tokens": 2}),
        ("/v1/chat/completions", {"messages": HELLO, "max_tokens": 2}),
        ("/v1/responses", {"input": "Hello", "max_output_tokens": 2}),
        ("/v1/messages", {"messages": HELLO, "max_tokens": 2}),
    ],
)
@pytest.mark.parametrize(
    ("reference", "exact"),
    [("plain", "plain@1"), ("plain@2", "plain@2"), ("plain@prod", "plain@2"), ("plain@latest", "plain@2"),
     ("plain@r4", "plain@1"), (BASE, BASE)],
)  # fmt: skip
def test_every_answering_route_takes_every_kind_of_reference(
    server: Server, path: str, body: dict[str, Any], reference: str, exact: str
) -> None:
    response = server.post(path, model=reference, **body)
    assert response.status_code == 200, response.text
    assert response.json()["model"] == exact
    assert response.headers["x-lorarack-version"] == exact
    assert response.headers["x-lorarack-digest"].startswith("sha256:")


def test_a_digest_prefix_is_a_reference_too(server: Server) -> None:
    digest = server.registry.resolve("strong").digest
    assert server.complete(f"strong@{digest[:19]}", "Hello", max_tokens=1)["model"] == "strong@1"


def test_a_route_outside_v1_that_only_names_a_model(server: Server) -> None:
    response = server.post("/tokenize", model="plain@prod", messages=HELLO)
    assert response.status_code == 200, response.text
    assert response.headers["x-lorarack-version"] == "plain@2"
    assert server.post("/tokenize", model="nosuch", messages=HELLO).status_code == 404


def test_a_streamed_answer_is_the_whole_answer(server: Server) -> None:
    asked: dict[str, Any] = {"model": "plain@prod", "messages": HELLO, "max_tokens": 12, "temperature": 0}
    whole = server.post("/v1/chat/completions", **asked).json()["choices"][0]["message"]["content"]
    streamed = server.post("/v1/chat/completions", stream=True, **asked)
    assert streamed.headers["x-lorarack-version"] == "plain@2"
    pieces = events(streamed.text)
    assert {piece["model"] for piece in pieces} == {"plain@2"}
    assert "".join(p["choices"][0]["delta"].get("content") or "" for p in pieces if p["choices"]) == whole


def test_openais_client_works_and_gets_its_own_errors(server: Server) -> None:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=KEY, max_retries=0) as client:
        answer = client.chat.completions.create(model="plain@prod", messages=HELLO, max_tokens=2)
        assert answer.model == "plain@2"
        names = [model.id for model in client.models.list()]
        assert client.models.retrieve("strong").id == "strong"
        with pytest.raises(openai.NotFoundError, match="Did you mean 'plain'") as missing:
            client.chat.completions.create(model="plainn", messages=HELLO)
        assert missing.value.code == "unknown_reference"
    assert names[0] == BASE
    assert {"plain", "plain@prod", "plain@1", "plain@2", "strong", "strong@1", "partial@1"} <= set(names)


def test_anthropics_client_works_and_gets_its_own_errors(server: Server) -> None:
    with anthropic.Anthropic(base_url=server.url, api_key=KEY, max_retries=0) as client:
        answer = client.messages.create(model="plain@prod", messages=HELLO, max_tokens=2)
        assert answer.model == "plain@2"
        with pytest.raises(anthropic.NotFoundError):
            client.messages.create(model="nosuch", messages=HELLO, max_tokens=2)


@pytest.mark.parametrize("path", ["/v1/models", "/v1/completions", "/tokenize", "/invocations", "/docs"])
def test_no_route_answers_without_the_key(server: Server, path: str) -> None:
    """vLLM alone guards only /v1 and three other prefixes."""
    assert httpx.request("POST" if "models" not in path else "GET", server.url + path, json={}).status_code == 401
    assert httpx.get(f"{server.url}/health").status_code == 200


def test_the_unsafe_routes_to_load_adapters_are_not_there(server: Server) -> None:
    response = server.post("/v1/load_lora_adapter", lora_name="x", lora_path="/etc")
    assert response.status_code == 404


def test_every_route_of_the_server_says_truly_what_answered(server: Server) -> None:
    """Walks the app's own routes: answer, body and headers for two adapters and the base; what has no sample here fails."""
    routes = {path for path, ways in server.client.get("/openapi.json").json()["paths"].items() if "post" in ways}
    answering = {path for path in routes if POST_ROUTES[path] in (Kind.ANSWERS, Kind.TOKENS)}
    for path in sorted(answering - SAMPLES.keys()):
        refused = server.post(path, model="strong", **SAMPLES["/v1/completions"])
        assert refused.status_code in (400, 501), f"{path} answers {refused.status_code}: it needs a sample"
        assert "x-lorarack-version" not in refused.headers
    for path in sorted(answering & SAMPLES.keys()):
        answers = {}
        for model, exact in (("rslora@latest", "rslora@1"), ("strong", "strong@1"), (BASE, BASE)):
            response = server.post(path, model=model, **SAMPLES[path])
            assert response.status_code == 200, f"{path}: {response.text}"
            assert response.headers["x-lorarack-version"] == exact, path
            assert response.headers["x-lorarack-digest"].startswith("sha256:"), path
            body = response.json()
            assert body.get("model", exact) == exact, path
            said = [part["content"] for part in body.get("output", ())]  # beside ids that differ each time
            answers[model] = json.dumps([said, *(body.get(key) for key in ANSWER_KEYS)])
        different = 1 if POST_ROUTES[path] is Kind.TOKENS else 3
        assert len(set(answers.values())) == different, f"{path}: {answers}"
    for path in sorted(routes - answering):
        response = server.post(path, model="strong", prompt="x")
        assert "x-lorarack-version" not in response.headers, path
        if POST_ROUTES[path] is Kind.REFUSED:
            assert response.status_code == 403, path


def test_ask_streams_an_answer_and_says_who_gave_it(server: Server) -> None:
    environ = {**os.environ, "LORARACK_TOKEN": KEY}
    command = [str(Path(sys.executable).with_name("lorarack")), "ask", "plain@prod", "Say hello.", "--max-tokens", "5"]
    told = subprocess.run([*command, "--url", server.url], env=environ, capture_output=True, text=True, check=True)
    assert told.stdout.strip()
    assert "plain@2, 5 tokens" in told.stderr
    plain = subprocess.run([*command, "--url", server.url, "--json"], env=environ, capture_output=True, text=True)
    answer = json.loads(plain.stdout)
    hold("ask", answer)
    assert answer["reference"] == "plain@2"
    assert answer["answer"].strip() == told.stdout.strip()
