"""What `lorarack serve` begins early never outlives it, and is not begun in vain."""

from pathlib import Path
from typing import Any

import pytest
from tests.tiny import tiny_base

from lorarack.registry import Registry, open_registry
from lorarack.registry.errors import UsageError
from lorarack.server import launch, preflight


class Begun:
    """An early engine that notes what becomes of it."""

    def __init__(self) -> None:
        self.fate: list[str] = []

    def forget(self) -> None:
        self.fate.append("forgotten")

    def close(self) -> None:
        self.fate.append("closed")


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> Begun:
    """A server that comes as far as vLLM's flags, which are wrong."""
    begun = Begun()

    def refuse(*_: Any) -> None:
        raise UsageError("vLLM does not take these flags.")

    monkeypatch.setattr(preflight, "check_platform", lambda: None)
    monkeypatch.setattr(preflight, "check_port", lambda *_: None)
    monkeypatch.setattr(launch, "begin_early", lambda _: begun)
    monkeypatch.setattr(launch, "_parse", refuse)
    monkeypatch.setenv("VLLM_PLUGINS", "")
    monkeypatch.setenv("VLLM_CPU_NUM_OF_RESERVED_CPU", "0")
    return begun


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    registry = open_registry(tmp_path / "home")
    registry.add_base(str(tiny_base(tmp_path / "base")), "tiny")
    return registry


@pytest.mark.parametrize(("cpu", "fate"), [(True, ["closed"]), (False, ["forgotten", "closed"])])
def test_it_ends_with_a_server_that_does_not_start(
    registry: Registry, begun: Begun, monkeypatch: pytest.MonkeyPatch, cpu: bool, fate: list[str]
) -> None:
    """And at once where the engine runs on a GPU."""
    monkeypatch.setattr(launch, "_is_cpu", lambda: cpu)
    with pytest.raises(UsageError):
        launch.serve(registry, registry.base("tiny"), None, None, [])
    assert begun.fate == fate
