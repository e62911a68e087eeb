"""An adapter is packed once; then slots point to it, and it answers as what vLLM cuts and copies to a slot."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tests.server.cpu.test_packed_adapters import pack
from tests.server.cpu.wrapped import HIDDEN, LINEAR_KINDS, MAX_RANK, SLOTS, Adapter, Kind, tell, wrap

pytestmark = [
    pytest.mark.torch,
    # vLLM's own import: torch.jit.script_method is deprecated, and it still uses it.
    pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning"),
]

KINDS = {kind.name: kind for kind in LINEAR_KINDS}
#: Layers of a model, with the names under which an adapter's file has their slices.
MODEL = {
    "layers.0.qkv_proj": ("qkv, three parts", ["layers.0.q_proj", "layers.0.k_proj", "layers.0.v_proj"]),
    "layers.0.o_proj": ("row", ["layers.0.o_proj"]),
    "layers.1.gate_up_proj": ("merged, two parts", ["layers.1.gate_proj", "layers.1.up_proj"]),
}


class Manager:
    """As much of vLLM's manager as activation needs, over layers that vLLM has wrapped."""

    is_pooling_model = supports_mm = False

    def __init__(self, wrapper: Any, dtype: torch.dtype) -> None:
        from vllm.lora.model_manager import LoRAModelManager

        self.wrapper, self.dtype = wrapper, dtype
        self.punica_wrapper_mapping = {"language_model": wrapper}
        self.modules = {name: self._layer(KINDS[kind]) for name, (kind, _) in MODEL.items()}
        self.packed_modules = {name: parts for name, (_, parts) in MODEL.items() if len(parts) > 1}
        self.lora_index_to_id: list[int | None] = [None] * SLOTS
        self._active_adapters: dict[int, None] = {}
        self._registered_adapters: dict[int, Any] = {}
        self._manager: Any = LoRAModelManager

    def _layer(self, kind: Kind) -> Any:
        layer = wrap(kind, self.dtype)
        layer.set_mapping(self.wrapper)
        layer.base_layer.quant_method.process_weights_after_loading(layer.base_layer)
        return layer

    def _get_lora_layer_weights(self, model: Any, name: str) -> Any:
        return model.loras.get(name)

    def register(self, engine_id: int, model: Any) -> None:
        self._registered_adapters[engine_id] = model

    def activate(self, engine_id: int) -> int:
        """The slot."""
        assert self._manager.activate_adapter(self, engine_id)
        return self.lora_index_to_id.index(engine_id)

    def deactivate(self, engine_id: int) -> None:
        self._manager._deactivate_adapter(self, engine_id)
        del self._active_adapters[engine_id]

    def answers(self, slot: int) -> list[torch.Tensor]:
        x = torch.randn(6, HIDDEN, generator=torch.Generator().manual_seed(5)).to(self.dtype)
        tell(self.wrapper, (slot,) * 6)
        return [layer(x)[0] for layer in self.modules.values()]


@pytest.fixture
def manager(wrapper: Any, kernel_file: Path, monkeypatch: pytest.MonkeyPatch) -> Manager:
    from vllm.lora.model_manager import LoRAModelManager

    from lorarack.server.cpu.packed_adapters import patch_activation

    for name in ("_add_adapter", "activate_adapter", "_deactivate_adapter"):
        monkeypatch.setattr(LoRAModelManager, name, getattr(LoRAModelManager, name))
    monkeypatch.setattr(LoRAModelManager, "_lorarack", False, raising=False)
    patch_activation()
    return Manager(wrapper, torch.bfloat16)


def adapters(seed: int) -> dict[str, Adapter]:
    return {name: KINDS[kind].adapter(8, seed, torch.bfloat16) for name, (kind, _) in MODEL.items()}


def model_of(engine_id: int, made: dict[str, Adapter]) -> Any:
    """As vLLM's loader leaves it."""
    weights = {name: SimpleNamespace(lora_a=one.a, lora_b=one.b) for name, one in made.items()}
    return SimpleNamespace(id=engine_id, loras=weights)


def same(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_it_is_packed_when_it_first_enters_a_slot_and_vllms_copy_goes(manager: Manager) -> None:
    """Out and in again, in another slot, it answers the same, from its packed weights alone."""
    for engine_id in (11, 12, 13):
        manager.register(engine_id, model_of(engine_id, adapters(engine_id)))
    first = {engine_id: manager.answers(manager.activate(engine_id)) for engine_id in (11, 12, 13)}
    assert not same(first[11], first[12])
    assert all(not model.loras for model in manager._registered_adapters.values())
    for engine_id in (11, 12):
        manager.deactivate(engine_id)
    assert same(manager.answers(0), manager.answers(-1)), "an empty slot"
    again = {engine_id: manager.answers(manager.activate(engine_id)) for engine_id in (12, 11)}
    assert manager.lora_index_to_id[:3] == [12, 11, 13]
    assert same(again[11], first[11])
    assert same(again[12], first[12])
    assert same(manager.answers(2), first[13])


def test_an_image_answers_as_what_vllm_cuts_and_copies(manager: Manager, tmp_path: Path) -> None:
    """Through the layout that the engine tells, all kinds of layers; slices that the adapter leaves alone too."""
    from lorarack.server.adapter_image import Layout, Packer, Part
    from lorarack.server.cpu.packed_adapters import engine_layout, load_packed

    told: Any = engine_layout(manager, SimpleNamespace(), MAX_RANK)
    assert sorted(told["parts"]) == sorted(part for _, parts in MODEL.values() for part in parts)
    parts = {name: Part(*numbers) for name, numbers in told["parts"].items()}
    packer = Packer(Layout(Path(told["kernel"]), told["bfloat16"], told["max_rank"], parts))
    made = adapters(7)
    manager.register(21, model_of(21, made))
    tensors = {}
    for name, (_, names) in MODEL.items():
        a, b = made[name].a, made[name].b
        for part, part_a, part_b in zip(names, *((a, b) if len(names) > 1 else ([a], [b])), strict=True):
            if part_a is not None:
                tensors[f"base_model.model.{part}.lora_A.weight"] = part_a
                tensors[f"base_model.model.{part}.lora_B.weight"] = part_b.contiguous()
    save_file(tensors, tmp_path / "weights")
    with pack(packer, tmp_path / "weights", 1.0) as image:
        packed = load_packed(manager, 22, f"/proc/self/fd/{image.fileno()}")
    manager.register(22, packed)
    assert same(manager.answers(manager.activate(22)), manager.answers(manager.activate(21)))


def test_a_layer_that_is_not_the_kernels_leaves_all_to_vllm(manager: Manager) -> None:
    from lorarack.server.cpu.packed_adapters import engine_layout

    manager.modules["other"] = wrap(KINDS["column"], torch.bfloat16)
    manager.modules["other"].punica_wrapper = manager.modules["layers.0.o_proj"].punica_wrapper
    assert engine_layout(manager, SimpleNamespace(), MAX_RANK) is None
    made = adapters(3)
    manager.register(31, model_of(31, made))
    manager.activate(31)
    assert manager._registered_adapters[31].loras, "it is copied anew each time"


def test_with_all_slots_taken_it_says_so(manager: Manager) -> None:
    for engine_id in range(41, 41 + SLOTS + 1):
        manager.register(engine_id, model_of(engine_id, adapters(engine_id)))
    for engine_id in range(41, 41 + SLOTS):
        manager.activate(engine_id)
    manager.deactivate(42)
    manager.activate(41 + SLOTS)
    with pytest.raises(ValueError, match="No free lora slots"):
        manager.activate(42)
