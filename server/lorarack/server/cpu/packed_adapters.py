"""Adapters stay packed in the kernel's memory, and a slot only points to one.

vLLM copies an adapter from host memory to a slot, matrix by matrix, each time that it enters the batch. On a CPU both are the same
memory: here an adapter is packed once, when it is loaded, and entering a slot copies nothing.
"""

import os
from typing import Any

import torch
from vllm.lora.layers import (
    ColumnParallelLinearWithLoRA,
    MergedColumnParallelLinearWithLoRA,
    MergedQKVParallelLinearWithLoRA,
    QKVParallelLinearWithLoRA,
    ReplicatedLinearWithLoRA,
    RowParallelLinearWithLoRA,
)
from vllm.lora.lora_model import LoRAModel
from vllm.lora.model_manager import LoRAModelManager
from vllm.lora.utils import parse_fine_tuned_lora_name

from lorarack.server.adapter_image import read_image
from lorarack.server.cpu.custom_ops import layer_factory
from lorarack.server.cpu.kernel import Kernel, PackedAdapter
from lorarack.server.cpu.layer_patch import KernelPunicaWrapper
from lorarack.server.cpu.layers import KernelLayer

#: One A and one B, which `set_lora` copies as they are.
_WHOLE = frozenset(
    {ColumnParallelLinearWithLoRA, QKVParallelLinearWithLoRA, RowParallelLinearWithLoRA, ReplicatedLinearWithLoRA}
)
#: An A and a B for each slice, likewise.
_SLICED = frozenset({MergedColumnParallelLinearWithLoRA, MergedQKVParallelLinearWithLoRA})


def patch_activation() -> None:
    """Have vLLM's manager point slots to packed adapters, where the kernel computes all layers. Once per process."""
    manager: Any = LoRAModelManager
    if getattr(manager, "_lorarack", False):
        return
    manager._lorarack = True
    add, activate, deactivate = manager._add_adapter, manager.activate_adapter, manager._deactivate_adapter

    def add_adapter(self: Any, model: Any) -> None:
        if packed_of(model) is None:
            add(self, model)
        else:
            self._registered_adapters[model.id] = model

    def activate_adapter(self: Any, adapter_id: int) -> bool:
        kernel = kernel_of(self)
        if kernel is None or adapter_id in self._active_adapters:
            return bool(activate(self, adapter_id))
        model = self._registered_adapters[adapter_id]
        if (packed := packed_of(model)) is not None:
            _point(self, kernel, adapter_id, packed)
        else:
            activate(self, adapter_id)
            _attach(model, PackedAdapter(kernel, kernel.keep(self.lora_index_to_id.index(adapter_id))))
        return True

    def deactivate_adapter(self: Any, adapter_id: int) -> None:
        kernel = kernel_of(self)
        if kernel is not None and adapter_id in self.lora_index_to_id:
            kernel.use(self.lora_index_to_id.index(adapter_id), 0)
        deactivate(self, adapter_id)

    manager._add_adapter, manager.activate_adapter = add_adapter, activate_adapter
    manager._deactivate_adapter = deactivate_adapter


def _point(manager: Any, kernel: Kernel, adapter_id: int, packed: PackedAdapter) -> None:
    """Have the first free slot of ``manager`` hold the adapter."""
    if None not in manager.lora_index_to_id:
        raise ValueError("No free lora slots")
    slot = manager.lora_index_to_id.index(None)
    kernel.use(slot, packed.number)
    manager._active_adapters[adapter_id], manager.lora_index_to_id[slot] = None, adapter_id


def packed_of(model: Any) -> PackedAdapter | None:
    """The packed weights of vLLM's model of an adapter, which then has no others."""
    found: PackedAdapter | None = getattr(model, "lorarack_packed", None)
    return found


def kernel_of(manager: Any) -> Kernel | None:
    """The kernel, if it computes every layer that vLLM's ``manager`` has wrapped."""
    if not hasattr(manager, "_lorarack_kernel"):
        ours = all(isinstance(wrapper, KernelPunicaWrapper) for wrapper in manager.punica_wrapper_mapping.values())
        whole = all(isinstance(getattr(each, "lorarack_layer", None), KernelLayer) for each in manager.modules.values())
        manager._lorarack_kernel = layer_factory().kernel if ours and whole and manager.modules else None
    found: Kernel | None = manager._lorarack_kernel
    return found


def load_packed(manager: Any, engine_id: int, path: str) -> Any:
    """vLLM's model of the packed adapter at ``path``; None: the file holds tensors as published.

    Raises:
        EngineError: it cannot be loaded.
    """
    kernel = kernel_of(manager)
    if kernel is None:
        return None
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        image = read_image(file)
        if image is None:
            return None
        packed = PackedAdapter(kernel, kernel.load(image, file))
    finally:
        os.close(file)
    model = LoRAModel(engine_id, image.rank, {})
    _attach(model, packed)
    return model


def engine_layout(manager: Any, model: Any, max_rank: int) -> dict[str, Any] | None:
    """The fields of a `Layout`, as one that can be sent; None: adapters cannot be packed elsewhere for this engine."""
    kernel = kernel_of(manager)
    if kernel is None or manager.is_pooling_model or manager.supports_mm or getattr(model, "lora_skip_prefixes", None):
        return None
    dtypes = {module.lorarack_layer.dtype for module in manager.modules.values()}
    if len(dtypes) != 1:
        return None
    mapper = getattr(model, "hf_to_vllm_mapper", None)
    renames = mapper.get_rename_mapper() if mapper is not None else None
    parts: dict[str, list[int]] = {}
    for name, module in manager.modules.items():
        layer, names = module.lorarack_layer, manager.packed_modules.get(name, [name])
        kinds = _SLICED if name in manager.packed_modules else _WHOLE
        if type(module) in kinds and getattr(module, "tp_size", 1) == 1 and len(names) == len(layer.widths):
            for number, (part, width) in enumerate(zip(names, layer.widths, strict=True)):
                if parse_fine_tuned_lora_name(f"base_model.model.{part}.lora_A.weight", renames)[0] == part:
                    parts[part] = [layer.index, number, layer.inputs, width]
    return {
        "kernel": str(kernel.path), "bfloat16": dtypes == {torch.bfloat16}, "max_rank": max_rank, "parts": parts,
    }  # fmt: skip


def _attach(model: Any, packed: PackedAdapter) -> None:
    model.lorarack_packed, model.loras = packed, {}
