"""`/v1/models` lists the base, and every alias and version that this server can serve; `/ready` says when."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from tests.server.values import RecordingEngine
from tests.tiny import tiny_adapter, tiny_base

from lorarack.registry import open_registry
from lorarack.server.app_state import AppState
from lorarack.server.http.routes import make_router
from lorarack.server.limits import Limits
from lorarack.server.reference_resolver import ReferenceResolver
from lorarack.server.residency import Residency


async def base_cards() -> list[dict[str, Any]]:
    return [{"id": "tiny", "object": "model", "root": "/secret/path", "max_model_len": 256}]


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


async def test_models_lists_exactly_what_answers(state: AppState) -> None:
    """Rank 32 does not fit this server, nor does the alias that names it."""
    async with client(state) as asking:
        cards = {card["id"]: card for card in (await asking.get("/v1/models")).json()["data"]}
    assert list(cards) == ["tiny", "acme/support", "acme/support@prod", "acme/support@1", "zeta", "zeta@1"]
    assert cards["acme/support@prod"]["root"] == "acme/support@1"
    assert cards["acme/support@prod"]["parent"] == "tiny"
    assert cards["acme/support@prod"]["lorarack"]["resident"] is False
    assert cards["zeta"]["lorarack"] | {"digest": ""} == {
        "version": "zeta@1", "digest": "", "rank": 8, "resident": True, "unapplied_chat_template": None,
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
        ("stale", "the registry could not be read"),
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
