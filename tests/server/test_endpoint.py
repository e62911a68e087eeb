"""One API process put together over an engine that only remembers: what follows what, and what a restart has loaded."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import REGISTRY
from tests.tiny import tiny_adapter, tiny_base

from lorarack.registry import Registry, open_registry
from lorarack.server.settings import ServingSettings

pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning"),
]


class Client:
    """As much of vLLM's engine client as an API process calls."""

    errored = False
    output_processor = SimpleNamespace(lora_states=SimpleNamespace(requests={}))

    def __init__(self) -> None:
        self.ids: set[int] = {1, 2}  # what warm-up leaves
        self.renderer = SimpleNamespace(render_chat_async=None)

    async def get_supported_tasks(self) -> tuple[str, ...]:
        return ("embed",)

    async def add_lora(self, request: Any) -> bool:
        self.ids.add(request.lora_int_id)
        return True

    async def remove_lora(self, engine_id: int) -> bool:
        self.ids.discard(engine_id)
        return True

    async def list_loras(self) -> set[int]:
        return set(self.ids)

    async def collective_rpc(self, method: str) -> list[Any]:
        assert method == "lorarack_layout"
        return [None]

    async def generate(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
        raise AssertionError("nothing is generated here")
        yield

    def shutdown(self, timeout: float | None = None) -> None:
        raise AssertionError("nothing is shut down here")


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    opened = open_registry(tmp_path / "home")
    opened.add_base(str(tiny_base(tmp_path / "base")), "tiny")
    for seed in range(4):
        opened.publish(tiny_adapter(tmp_path / str(seed), seed=seed), "support", base="tiny")
    opened.set_alias("support", "prod", 2)
    return opened


@pytest.fixture(autouse=True)
def metrics() -> Iterator[None]:
    """Series are registered once a process, and here once a test."""
    before = set(REGISTRY._collector_to_names)
    yield
    for collector in set(REGISTRY._collector_to_names) - before:
        REGISTRY.unregister(collector)


async def started(
    registry: Registry, client: Client, tmp_path: Path, *pins: str, processes: int = 1
) -> tuple[FastAPI, Any]:
    from lorarack.server.vllm.endpoint import LorarackEndpoints

    settings = ServingSettings(
        registry=str(registry.location), base="tiny", fingerprint=registry.base("tiny").fingerprint, pins=pins,
        cache=str(tmp_path / "cache"), errors=str(tmp_path),
    )  # fmt: skip
    endpoints, app = LorarackEndpoints(settings), FastAPI()
    endpoints.attach_router(app)
    base = SimpleNamespace(name="tiny")
    card = SimpleNamespace(model_dump=lambda: {"id": "tiny", "object": "model", "max_model_len": 256})

    async def cards() -> Any:
        return SimpleNamespace(data=[card])

    names = SimpleNamespace(show_available_models=cards)
    models = SimpleNamespace(base_model_paths=[base], lora_requests={}, registry=names)
    lora = SimpleNamespace(max_cpu_loras=3, max_loras=2, max_lora_rank=16, target_modules=None)
    model = SimpleNamespace(
        get_vocab_size=lambda: 100, architectures=["X"], max_model_len=256, dtype="torch.float32",
        registry=SimpleNamespace(resolve_model_cls=lambda *_: (object, ""))
    )  # fmt: skip
    config = SimpleNamespace(
        lora_config=lora, model_config=model, parallel_config=SimpleNamespace(data_parallel_size=1, world_size=1),
        scheduler_config=SimpleNamespace(max_num_seqs=8),
    )  # fmt: skip
    state = SimpleNamespace(openai_serving_models=models, vllm_config=config)
    args = SimpleNamespace(
        api_server_count=processes, port=1, api_key=None, otlp_traces_endpoint=None,
        allowed_origins=[], allow_credentials=False, allowed_methods=["*"], allowed_headers=["*"],
    )  # fmt: skip
    await endpoints.init_state(client, state, args)
    return app, endpoints


async def test_a_start_warms_what_pins_and_aliases_name_and_follows_them(registry: Registry, tmp_path: Path) -> None:
    """What warm-up left in the engine is gone; an alias that moves takes its new version along and leaves the old one."""
    engine = Client()
    app, endpoints = await started(registry, engine, tmp_path, "support@3")
    try:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://server") as asking:
            await until(asking, "/ready", lambda body: body["ready"])
            assert await states(asking) == {"support@1": "ready", "support@2": "ready", "support@3": "ready"}
            ids = {registry.get_version(f"support@{n}").engine_id for n in (1, 2, 3)}
            assert engine.ids == ids
            registry.set_alias("support", "prod", 4)
            await until(
                asking, "/v1/residency", lambda body: "support@4" in named(body) and "support@2" not in named(body)
            )
            listed = (await asking.get("/v1/models")).json()["data"]
            assert {card["root"] for card in listed if card["id"] == "support@prod"} == {"support@4"}
            rows = (await asking.get("/v1/residency")).json()
            assert [row["reference"] for row in rows["data"] if row["pinned"]] == ["support@3"]
            assert rows["capacity"] == 3
    finally:
        await stop(endpoints)


async def test_a_further_api_process_leaves_what_others_have_loaded(registry: Registry, tmp_path: Path) -> None:
    """All share one engine, and none knows what the others' requests need."""
    engine = Client()
    engine.ids = {901, 902}
    _, endpoints = await started(registry, engine, tmp_path, "support@3", processes=2)
    try:
        assert engine.ids >= {901, 902}
    finally:
        await stop(endpoints)


async def states(asking: httpx.AsyncClient) -> dict[str, str]:
    rows = (await asking.get("/v1/residency")).json()["data"]
    return {row["reference"]: row["state"] for row in rows}


def named(body: Any) -> set[str]:
    return {row["reference"] for row in body["data"]}


async def until(asking: httpx.AsyncClient, path: str, true: Any) -> None:
    for _ in range(1000):
        if true((await asking.get(path)).json()):
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"{path}: {(await asking.get(path)).text}")


async def stop(endpoints: Any) -> None:
    for task in endpoints._tasks:
        task.cancel()
    await asyncio.gather(*endpoints._tasks, return_exceptions=True)


async def test_what_a_start_loads_is_looked_at(registry: Registry, tmp_path: Path) -> None:
    """Where the engine generates. One that fails at it keeps nothing away, and leaves no record."""

    class Generating(Client):
        async def get_supported_tasks(self) -> tuple[str, ...]:
            return ("generate",)

    app, endpoints = await started(registry, Generating(), tmp_path)
    try:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://server") as asking:
            await until(asking, "/ready", lambda body: body["ready"])
            table = (await asking.get("/v1/residency")).json()
        assert (table["dtype"], table["fingerprint"]) == ("float32", registry.base("tiny").fingerprint)
        assert {(row["probe"], row["parity"]) for row in table["data"]} == {("not probed", None)}
        assert registry.serving_record(registry.resolve("support@prod")) is None
    finally:
        await stop(endpoints)
