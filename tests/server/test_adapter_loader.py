"""An adapter that cannot be loaded within a step fails its own requests; what was dropped is never read again."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning"),
]


@pytest.fixture
def ours(monkeypatch: pytest.MonkeyPatch) -> Any:
    """vLLM's manager with our loading, for this test alone, over slots that note what they are told."""
    from vllm.lora.worker_manager import LRUCacheWorkerLoRAManager

    from lorarack.server.vllm.adapter_loader import patch_loading

    for name in ("add_adapter", "remove_adapter", "set_active_adapters", "_load_adapter"):
        monkeypatch.setattr(LRUCacheWorkerLoRAManager, name, getattr(LRUCacheWorkerLoRAManager, name))
    monkeypatch.setattr(LRUCacheWorkerLoRAManager, "_lorarack", False, raising=False)
    patch_loading()
    made: Any = LRUCacheWorkerLoRAManager.__new__(LRUCacheWorkerLoRAManager)
    made._adapter_manager = Slots()
    return made


class Slots:
    """Adapters by engine id, as far as loading asks for them."""

    lora_slots = 8

    def __init__(self) -> None:
        self.held: dict[int, Any] = {}
        self.mapping: Any = None

    def list_adapters(self) -> dict[int, Any]:
        return self.held

    def get_adapter(self, engine_id: int) -> Any:
        return self.held.get(engine_id)

    def activate_adapter(self, engine_id: int) -> bool:
        return engine_id in self.held

    def remove_adapter(self, engine_id: int) -> bool:
        return self.held.pop(engine_id, None) is not None

    def set_adapter_mapping(self, mapping: Any) -> None:
        self.mapping = mapping


def request(engine_id: int) -> Any:
    from vllm.lora.request import LoRARequest

    return LoRARequest(lora_name=f"one@{engine_id}", lora_int_id=engine_id, lora_path=f"digest/{engine_id}")


def mapping(*rows: int) -> Any:
    from vllm.lora.layers import LoRAMapping

    return LoRAMapping(index_mapping=rows, prompt_mapping=rows, is_prefill=False)


def test_one_that_cannot_be_loaded_fails_itself_alone(ours: Any, tmp_path: Path) -> None:
    from lorarack.server.vllm.adapter_loader import adapter_files

    ours._adapter_manager.held[1] = SimpleNamespace(id=1)
    (tmp_path / "damaged").write_bytes(b"not safetensors")
    adapter_files(ours).take(2, tmp_path / "damaged")
    ours.set_active_adapters({request(1), request(2), request(3)}, mapping(1, 2, 3, 0))
    assert adapter_files(ours).failed == {2, 3}
    assert ours._adapter_manager.mapping.index_mapping == (1, 0, 0, 0)
    ours.set_active_adapters({request(1)}, mapping(1))
    assert not adapter_files(ours).failed


def test_failed_rows_are_named_by_their_adapters_alone(ours: Any) -> None:
    import numpy as np
    import torch

    from lorarack.server.vllm.adapter_loader import adapter_files
    from lorarack.server.vllm.nonfinite import _failed_requests

    adapter_files(ours).failed = frozenset({2})
    names = ["first", "second", "base", "infinite"]
    batch = SimpleNamespace(req_ids=names, num_reqs=4, request_lora_mapping=np.array([1, 2, 0, 1]))
    logits = torch.zeros(4, 8)
    logits[0, 1], logits[3, 2] = -torch.inf, torch.nan  # a mask's own, and a fault
    assert _failed_requests(SimpleNamespace(input_batch=batch, lora_manager=ours), logits) == {
        "second": 2,
        "infinite": 1,
    }


def test_what_was_dropped_is_not_read_again(ours: Any, tmp_path: Path) -> None:
    from lorarack.server.vllm.adapter_loader import adapter_files

    (tmp_path / "file").write_bytes(b"bytes")
    kept = adapter_files(ours)
    kept.take(4, tmp_path / "file")
    handle = Path(kept.path(4))
    assert handle.read_bytes() == b"bytes"
    ours.remove_adapter(4)
    assert not handle.exists()
    with pytest.raises(LookupError, match="was removed"):
        ours._load_adapter(request(4))
    ours.set_active_adapters({request(4)}, mapping(4))
    assert kept.failed == {4}
