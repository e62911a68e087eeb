"""Adapters asked for as other servers are asked: made true, or refused with the way; never dropped without a word."""

from typing import Any

import httpx
import pytest
from tests.server.http.echo import client_of, echo

from lorarack.server.app_state import AppState
from lorarack.server.http.asgi import Receive, Scope, Send
from lorarack.server.http.model_resolver import ModelResolverMiddleware


@pytest.mark.parametrize(
    "foreign",
    [
        {"adapter_id": "x"}, {"lora_path": "/x"}, {"lora_request": {"lora_name": "x"}}, {"lora_name": "x"}, {"lora_id": 3},
        {"adapter_source": "hub"}, {"parameters": {"adapter_id": "x"}}, {"extra_body": {"lora_path": ["x"]}}, {"adapterId": "x"},
        {"lora": [{"id": 0, "scale": 1}]}, {"merged_adapters": {"ids": ["x"]}}, {"LoRA": "x"}, {"adapters": ["x"]},
    ],
)  # fmt: skip
@pytest.mark.parametrize("model", ["tiny", "support", None])
async def test_how_other_servers_are_asked_for_an_adapter_is_refused_with_the_way(
    client: httpx.AsyncClient, state: AppState, foreign: dict[str, Any], model: str | None
) -> None:
    """vLLM drops these without a word: the base would answer in the adapter's place."""
    response = await client.post("/v1/chat/completions", json={"model": model, "messages": []} | foreign)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "adapter_parameter"
    assert '"model": "support@3"' in response.json()["error"]["message"]
    assert state.residency.loaded == ()


@pytest.mark.parametrize("harmless", [{"adapter_id": None}, {"lora_path": ""}, {"explorator": 1}, {"user": "adapter"}])
async def test_what_asks_for_no_adapter_passes(client: httpx.AsyncClient, harmless: dict[str, Any]) -> None:
    assert (await client.post("/v1/chat/completions", json={"model": "tiny"} | harmless)).status_code == 200


ADAPTER = "X-Amzn-SageMaker-Adapter-Identifier"


@pytest.mark.parametrize(
    ("model", "given", "answers"),
    [("support@prod", None, "support@1"), (None, "support", "support@1"), ("tiny", "support@prod", "support@1"),
     ("support@1", "support@1", "support@1"), ("tiny", None, "tiny"), (None, None, "tiny"), ("", "tiny", "tiny")],
)  # fmt: skip
async def test_sagemakers_route_gets_the_same_name_in_body_and_header(
    state: AppState, model: str | None, given: str | None, answers: str
) -> None:
    """vLLM overwrites the body's model by that header there, or by nothing."""
    seen: list[list[bytes]] = []

    async def noting(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append([value for key, value in scope["headers"] if key.lower() == ADAPTER.lower().encode()])
        await echo(scope, receive, send)

    async with client_of(ModelResolverMiddleware(noting, lambda: state)) as asking:
        response = await asking.post("/invocations", json={"model": model}, headers={ADAPTER: given} if given else {})
    assert response.json()["model"] == answers
    assert response.headers["x-lorarack-version"] == answers
    assert seen == [[answers.encode()]]


@pytest.mark.parametrize(("path", "given"), [("/invocations", "tiny"), ("/v1/completions", "other@1")])
async def test_an_adapter_named_in_two_ways_is_refused(client: httpx.AsyncClient, path: str, given: str) -> None:
    response = await client.post(path, json={"model": "support"}, headers={ADAPTER: given})
    assert (response.status_code, response.json()["error"]["code"]) == (400, "adapter_parameter")
