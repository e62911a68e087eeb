"""`/v1/models` lists the base, and every alias and version that this server can serve; `/ready` says when."""

import asyncio
from dataclasses import replace
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import BaseModel
from tests.server.values import RecordingEngine
from tests.tiny import tiny_adapter, tiny_base

from lorarack.registry import open_registry
from lorarack.registry.errors import EngineError
from lorarack.server.app_state import AppState
from lorarack.server.http.bodies import ErrorBody, ModelEntry, ModelList, Readiness, ResidencyTable
from lorarack.server.http.routes import make_router
from lorarack.server.limits import Limits
from lorarack.server.reference_resolver import ReferenceResolver
from lorarack.server.residency import Residency
from lorarack.server.warm_set import WarmSet


async def base_cards() -> list[dict[str, Any]]:
    card = {"id": "tiny", "object": "model", "created": 1, "owned_by": "vllm", "parent": None, "permission": []}
    return [{**card, "root": "/secret/path", "max_model_len": 256}]


def client(state: AppState | None) -> httpx.AsyncClient:
    app = FastAPI()
    app.include_router(make_router(lambda: state, base_cards))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://server")


@pytest.fixture
async def state(tmp_path: Path) -> AppState:
    registry = open_registry(tmp_path / "home")
    base = registry.add_base(str(tiny_base(tmp_path / "base")), "tiny")
    for seed, (name, rank) in enumerate([("acme/support", 4), ("acme/support", 32), ("zeta", 8)]):
        registry.publish(tiny_adapter(tmp_path / str(seed), rank=rank, seed=seed), name, base="tiny")
    registry.publish(tiny_adapter(tmp_path / "old", seed=9), "zeta", base="tiny")
    registry.archive("zeta@2")
    registry.set_alias("acme/support", "prod", 1)
    registry.set_alias("acme/support", "big", 2)
    resolver = ReferenceResolver(registry, base_names=("tiny",))
    await resolver.refresh()
    residency = Residency(RecordingEngine(), lambda v: BytesIO(v.digest.encode()), Limits("tiny", base.fingerprint, 16))
    await residency.ensure(registry.resolve("zeta"))
    return AppState.build(frozenset({"tiny"}), resolver, residency)


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/v1/models", ModelList), ("/v1/models?limit=2", ModelList), ("/v1/models/tiny", ModelEntry),
        ("/v1/models/zeta", ModelEntry), ("/v1/models/nosuch", ErrorBody), ("/v1/models?after=nosuch", ErrorBody),
        ("/v1/models?limit=many", ErrorBody), ("/v1/residency", ResidencyTable), ("/ready", Readiness),
    ],
)  # fmt: skip
async def test_answers_are_as_openapi_describes_them(state: AppState, path: str, form: type[BaseModel]) -> None:
    """And `limit` is ours to read: an odd one is an error in our form, whatever has others in its place."""
    async with client(state) as asking:
        response = await asking.get(path)
        described = (await asking.get("/openapi.json")).json()["paths"]
    form.model_validate(response.json())
    operation = described["/v1/models/{name}" if path.startswith("/v1/models/") else path.partition("?")[0]]["get"]
    schema = operation["responses"][str(response.status_code)]["content"]["application/json"]["schema"]
    assert schema["$ref"].endswith(form.__name__)


async def test_models_lists_exactly_what_answers(state: AppState) -> None:
    """Rank 32 does not fit this server, nor does the alias that names it."""
    async with client(state) as asking:
        cards = {card["id"]: card for card in (await asking.get("/v1/models")).json()["data"]}
    assert list(cards) == ["tiny", "acme/support", "acme/support@prod", "acme/support@1", "zeta", "zeta@1"]
    assert cards["acme/support@prod"]["root"] == "acme/support@1"
    assert cards["acme/support@prod"]["parent"] == "tiny"
    assert cards["acme/support@prod"]["lorarack"]["resident"] is False
    assert cards["zeta"]["lorarack"] | {"digest": ""} == {
        "version": "zeta@1", "digest": "", "rank": 8, "resident": True, "chat_template": None, "defaults": None,
    }  # fmt: skip
    assert all(card["max_model_len"] == 256 for card in cards.values())
    assert "/secret" not in str(cards)


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("tiny", 200),
        ("acme/support", 200),
        ("zeta@latest", 200),
        ("acme/support@r32", 422),
        ("zeta@2", 410),
        ("nosuch", 404),
    ],
)
async def test_one_model_by_any_reference(state: AppState, name: str, status: int) -> None:
    async with client(state) as asking:
        response = await asking.get(f"/v1/models/{name}")
    assert response.status_code == status
    assert response.json()["id" if status == 200 else "error"]


async def test_ready_says_when() -> None:
    async with client(None) as asking:
        assert (await asking.get("/ready")).status_code == 503


@pytest.mark.parametrize(
    ("why", "reason"),
    [
        ("stopping", "the server is stopping"),
        ("dead", "the engine is dead"),
        ("stale", "the registry could not be followed"),
    ],
)
async def test_not_ready_says_why(state: AppState, monkeypatch: pytest.MonkeyPatch, why: str, reason: str) -> None:
    if why == "stopping":
        state.open_requests.begin_drain()
    elif why == "dead":
        state = replace(state, engine_is_dead=lambda: True)
    else:
        monkeypatch.setattr("lorarack.server.app_state.STALE_SECONDS", -1)
    async with client(state) as asking:
        response = await asking.get("/ready")
        assert (await asking.get("/v1/models")).status_code == 200
    assert response.status_code == 503
    assert response.json()["ready"] is False
    assert reason in response.json()["reason"]
    assert int(response.headers["retry-after"]) > 0


async def test_ready_when_serving(state: AppState) -> None:
    async with client(state) as asking:
        assert (await asking.get("/ready")).json() == {"ready": True}


async def test_pages_of_models_are_the_list_in_parts(state: AppState) -> None:
    """As OpenAI's lists are: `after` is the last name of the page before."""
    seen: list[str] = []
    async with client(state) as asking:
        whole = [card["id"] for card in (await asking.get("/v1/models")).json()["data"]]
        page = (await asking.get("/v1/models", params={"limit": 4})).json()
        while True:
            seen += [card["id"] for card in page["data"]]
            assert page["last_id"] == seen[-1]
            if not page["has_more"]:
                break
            page = (await asking.get("/v1/models", params={"limit": 4, "after": seen[-1]})).json()
        rest = (await asking.get("/v1/models", params={"after": whole[-1]})).json()
        refused = [await asking.get("/v1/models", params=wrong) for wrong in ({"limit": 0}, {"after": "nosuch"})]
    assert seen == whole
    assert rest["data"] == []
    assert rest["last_id"] is None
    assert [(answer.status_code, answer.json()["error"]["code"]) for answer in refused] == [
        (400, "usage"), (404, "not_found"),
    ]  # fmt: skip


async def test_residency_is_the_table(state: AppState) -> None:
    state.residency.refuse(state.resolver.snapshot.resolve("acme/support@1"), EngineError("The engine said no."), 30)
    async with client(state) as asking:
        body = (await asking.get("/v1/residency")).json()
    assert (body["object"], body["base"], body["capacity"]) == ("list", "tiny", None)
    rows = {row["reference"]: row for row in body["data"]}
    assert set(rows) == {"zeta@1", "acme/support@1"}
    ready, failed = rows["zeta@1"], rows["acme/support@1"]
    assert (ready["adapter"], ready["version"], ready["rank"], ready["state"]) == ("zeta", 1, 8, "ready")
    assert (ready["requests"], ready["pinned"], ready["reason"]) == (0, False, None)
    assert ready["load_seconds"] > 0
    assert datetime.fromisoformat(ready["last_used"]).tzinfo is not None
    assert (failed["state"], failed["reason"]) == ("failed", "The engine said no.")
    assert 0 < failed["retry_after"] <= 30


async def test_not_ready_before_what_aliases_name_is_loaded(state: AppState) -> None:
    state = replace(state, warm_set=WarmSet(state.residency, [], 8))
    task = state.warm_set.start(state.resolver.snapshot)
    async with client(state) as asking:
        early = await asking.get("/ready")
        await task
        assert (await asking.get("/ready")).status_code == 200
    assert early.status_code == 503
    assert "acme/support@1" in early.json()["reason"]


async def test_not_ready_says_why_the_registry_is_not_followed(
    state: AppState, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that nobody foresaw, also in what is done with the news: 503 with it, and 200 when it is over."""
    monkeypatch.setattr("lorarack.server.app_state.STALE_SECONDS", 0.2)
    faults = [ZeroDivisionError("odd")]
    refresh = state.resolver.refresh

    async def failing() -> None:
        await refresh()
        if faults:
            raise faults[0]

    monkeypatch.setattr(state.resolver, "refresh", failing)
    following = asyncio.create_task(state.resolver.follow(lambda *_: None, seconds=0.01))
    async with client(state) as asking:
        await until_status(asking, 503, "ZeroDivisionError: odd")  # on a busy machine it is stale before it fails
        faults.clear()
        await until_status(asking, 200)
    assert not following.done()
    following.cancel()


async def until_status(asking: httpx.AsyncClient, status: int, reason: str = "") -> None:
    for _ in range(1000):
        response = await asking.get("/ready")
        if response.status_code == status and reason in response.text:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"not {status} {reason}: {response.status_code} {response.text}")
