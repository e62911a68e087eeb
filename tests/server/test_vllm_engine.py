"""The engine port over vLLM's client: three calls, and names that requests can use exactly while an adapter is loaded."""

import tempfile
from types import SimpleNamespace
from typing import Any

import pytest

from lorarack.registry.errors import EngineError

pytestmark = pytest.mark.torch


class Client:
    """As much of an engine client as the port calls."""

    def __init__(self) -> None:
        self.ids: set[int] = set()
        self.fault: Exception | None = None

    async def add_lora(self, request: Any) -> bool:
        if self.fault:
            raise self.fault
        self.ids.add(request.lora_int_id)
        return True

    async def remove_lora(self, engine_id: int) -> bool:
        if self.fault:
            raise self.fault
        self.ids.discard(engine_id)
        return True

    async def list_loras(self) -> set[int]:
        if self.fault:
            raise self.fault
        return self.ids


@pytest.fixture
def engine() -> Any:
    from lorarack.server.vllm.engine import VllmEngine

    return VllmEngine(Client(), SimpleNamespace(lora_requests={}))


async def load(engine: Any, name: str, engine_id: int) -> None:
    with tempfile.TemporaryFile() as copy:
        await engine.load(name, "sha256:ab", engine_id, copy)


async def test_what_is_loaded_is_listed_and_can_be_named(engine: Any) -> None:
    await load(engine, "support@1", 7)
    await load(engine, "support@2", 8)
    assert await engine.list() == {7, 8}
    assert {name: r.lora_int_id for name, r in engine._models.lora_requests.items()} == {"support@1": 7, "support@2": 8}
    await engine.unload(7)
    assert await engine.list() == {8}
    assert list(engine._models.lora_requests) == ["support@2"]


async def test_each_load_has_a_path_of_its_own(engine: Any) -> None:
    """vLLM keys its prefix cache by it."""
    paths = set()
    for _ in range(2):
        await load(engine, "support@1", 7)
        paths.add(engine._models.lora_requests["support@1"].lora_path)
        await engine.unload(7)
    assert len(paths) == 2
    assert all(path.startswith("sha256:ab/") for path in paths)


async def test_what_vllm_raises_is_an_engine_error_and_no_name_is_left(engine: Any) -> None:
    await load(engine, "support@1", 7)
    engine._client.fault = RuntimeError("dead\nmore")
    with pytest.raises(EngineError, match="could not load support@2: RuntimeError: dead"):
        await load(engine, "support@2", 8)
    with pytest.raises(EngineError, match="could not remove the adapter 7: RuntimeError: dead"):
        await engine.unload(7)
    with pytest.raises(EngineError, match="does not answer: RuntimeError: dead"):
        await engine.list()
    assert engine._models.lora_requests == {}
