"""A key for some adapters: others are refused in the client's own form, and it does not learn which others there are."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from tests.server.http.echo import echo
from tests.server.values import key, ring

from lorarack.registry import NewKey
from lorarack.server.app_state import AppState
from lorarack.server.http.api_key import ApiKeyMiddleware
from lorarack.server.http.asgi import Receive, Scope, Send
from lorarack.server.http.model_resolver import ModelResolverMiddleware
from lorarack.server.http.routes import make_router

SUPPORT, BASE, OTHER = key("a", adapters=("supp*",)), key("b", adapters=("tiny",)), key("c", adapters=("acme/*",))


async def base_cards() -> list[dict[str, Any]]:
    return [{"id": "tiny", "object": "model", "max_model_len": 256}]


@pytest.fixture
async def asking(state: AppState) -> AsyncIterator[httpx.AsyncClient]:
    """A server of ``support`` that takes three keys."""
    routes = FastAPI()
    routes.include_router(make_router(lambda: state, base_cards))
    models = ModelResolverMiddleware(echo, lambda: state)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await (models if scope["method"] == "POST" else routes)(scope, receive, send)

    gate = ApiKeyMiddleware(app, ring(registered=[SUPPORT, BASE, OTHER]))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=gate), base_url="http://server") as made:
        yield made


def sent(made: NewKey) -> dict[str, str]:
    return {"x-api-key": made.secret}


@pytest.mark.parametrize(
    ("made", "model", "status"),
    [
        (SUPPORT, "support", 200), (SUPPORT, "support@prod", 200), (SUPPORT, "support@1", 200), (SUPPORT, "tiny", 403),
        (SUPPORT, "", 403), (SUPPORT, None, 403), (SUPPORT, "orders", 403), (SUPPORT, "support@9", 404),
        (SUPPORT, "suppor", 404), (BASE, "tiny", 200), (BASE, "", 200), (BASE, "support", 403), (OTHER, "support@1", 403),
        (OTHER, "tiny@1", 403), (OTHER, "@", 403),
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/tokenize"])
async def test_what_a_key_is_for_is_answered(
    asking: httpx.AsyncClient, state: AppState, made: NewKey, model: str | None, status: int, path: str
) -> None:
    response = await asking.post(path, json={"model": model}, headers=sent(made))
    assert response.status_code == status
    if status == 403:
        assert response.json()["error"]["code"] == "not_allowed"
        assert response.headers["x-should-retry"] == "false"
        assert "x-lorarack-version" not in response.headers
        assert state.residency.loaded == ()


async def test_a_name_that_exists_and_one_that_does_not_are_refused_alike(asking: httpx.AsyncClient) -> None:
    said = []
    for name in ("support", "nothing"):
        response = await asking.post("/v1/messages", json={"model": name}, headers=sent(OTHER))
        assert response.json()["error"]["type"] == "permission_error"
        said.append((response.status_code, response.text.replace(name, "…")))
    assert said[0] == said[1]


async def test_an_unknown_name_tells_a_limited_key_no_others(asking: httpx.AsyncClient, state: AppState) -> None:
    """Who may see all is offered what was meant."""
    limited = key("d", adapters=("support2", "s*x"))
    app = ApiKeyMiddleware(
        ModelResolverMiddleware(echo, lambda: state), ring(registered=[limited, everything := key("e")])
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://server") as other:
        for made, offered in ((limited, False), (everything, True)):
            response = await other.post("/v1/completions", json={"model": "support2"}, headers=sent(made))
            assert response.status_code == 404
            assert ("did you mean" in response.text.lower()) is offered


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/"])
async def test_the_list_of_models_has_what_the_key_is_for(asking: httpx.AsyncClient, path: str) -> None:
    listed = {}
    for made in (SUPPORT, BASE, OTHER):
        response = await asking.get(path, headers=sent(made))
        listed[made.key.name] = [card["id"] for card in response.json()["data"]]
    assert listed == {"a": ["support", "support@prod", "support@1"], "b": ["tiny"], "c": []}


@pytest.mark.parametrize(
    ("made", "name", "status"),
    [(SUPPORT, "support@1", 200), (SUPPORT, "tiny", 403), (BASE, "tiny", 200), (OTHER, "support", 403)],
)
async def test_so_has_one_entry(asking: httpx.AsyncClient, made: NewKey, name: str, status: int) -> None:
    assert (await asking.get(f"/v1/models/{name}", headers=sent(made))).status_code == status
