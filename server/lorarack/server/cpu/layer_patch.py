"""Patches the layers that vLLM wraps for LoRA: weights at each adapter's own rank, sums by our operations.

vLLM gives each wrapped layer the punica wrapper to call (``BaseLayerWithLoRA.set_mapping``); here it gets one of its own,
which knows the layer's number. Loading an adapter still goes through the layer's ``set_lora``, which knows how the weights of
its kind are cut and split; it writes into one scratch slot, from where the true ranks are copied to ours.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from vllm.lora.layers import (
    BaseLayerWithLoRA,
    ColumnParallelLinearWithLoRA,
    LogitsProcessorWithLoRA,
    MergedColumnParallelLinearVariableSliceWithLoRA,
    MergedColumnParallelLinearWithLoRA,
    MergedQKVParallelLinearWithLoRA,
    QKVParallelLinearWithLoRA,
    ReplicatedLinearWithLoRA,
    RowParallelLinearWithLoRA,
    VocabParallelEmbeddingWithLoRA,
)

from lorarack.server.cpu.custom_ops import ADD_TORCH, LayerFactory, layer_factory
from lorarack.server.cpu.layers import Layer
from lorarack.server.cpu.punica import GroupedPunicaWrapper
from lorarack.server.settings import ServingSettings

#: Exactly these: a subclass may do something else with its weights.
LINEAR = frozenset(
    {
        ColumnParallelLinearWithLoRA,
        MergedColumnParallelLinearWithLoRA,
        MergedColumnParallelLinearVariableSliceWithLoRA,
        QKVParallelLinearWithLoRA,
        MergedQKVParallelLinearWithLoRA,
        RowParallelLinearWithLoRA,
        ReplicatedLinearWithLoRA,
    }
)


class AddLinear:
    """What a patched linear layer calls. ``layer`` is a constant of the traced graph."""

    def __init__(self, layer: int) -> None:
        self.layer = layer

    def add_lora_linear(self, y: torch.Tensor, x: torch.Tensor, *unused: Any, **also_unused: Any) -> None:
        """Add to y in place what x's adapters give."""
        torch.ops.lorarack.add_lora(y, x, self.layer)


class AddLinearTorch(AddLinear):
    """The same for weights that the kernel does not suit."""

    def add_lora_linear(self, y: torch.Tensor, x: torch.Tensor, *unused: Any, **also_unused: Any) -> None:
        """Add to y in place what x's adapters give."""
        torch.ops.lorarack.add_lora_torch(y, x, self.layer)


class AddEmbedding:
    """What a patched embedding reads and calls."""

    def __init__(self, layer: int, wrapper: GroupedPunicaWrapper) -> None:
        self.layer = layer
        self._embeddings_indices = wrapper._embeddings_indices

    def add_lora_embedding(self, y: torch.Tensor, x: torch.Tensor, *unused: Any, **also_unused: Any) -> None:
        """Add to y in place what the adapters make of x, the tokens as looked up in A."""
        torch.ops.lorarack.add_lora_embedding(y, x, self.layer)


class AddLogits:
    """What a patched logits processor calls, outside the compiled graph."""

    def __init__(self, operation: str, layer: int, wrapper: GroupedPunicaWrapper) -> None:
        self._operation = getattr(torch.ops.lorarack, operation)
        self._layer = layer
        self._wrapper = wrapper

    def add_lora_logits(self, y: torch.Tensor, x: torch.Tensor, *unused: Any, **also_unused: Any) -> None:
        """Add to the logits y in place what the adapters of x's rows give."""
        self._wrapper.logit_rows.assign(self._wrapper.logit_slots(x))
        self._operation(y, x, self._layer)


class KernelPunicaWrapper(GroupedPunicaWrapper):
    """The wrapper whose layers are patched."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        settings = ServingSettings.from_environment()
        self.factory = layer_factory(Path(settings.kernel) if settings and settings.kernel else None)
        BaseLayerWithLoRA.set_mapping = _set_mapping
        super().__init__(*args, **kwargs)


def _set_mapping(module: Any, punica_wrapper: Any) -> None:
    """In place of ``BaseLayerWithLoRA.set_mapping``."""
    ours = isinstance(punica_wrapper, KernelPunicaWrapper)
    module.punica_wrapper = patch_layer(module, punica_wrapper, punica_wrapper.factory) if ours else punica_wrapper


def patch_layer(module: Any, wrapper: GroupedPunicaWrapper, factory: LayerFactory) -> Any:
    """What ``module`` is to call: an object of its own, or ``wrapper`` if its kind is not patched."""
    if type(module) in LINEAR:
        stacked_a, stacked_b = module.lora_a_stacked, module.lora_b_stacked
        operation, number, layer = _make(factory, wrapper.token_rows, stacked_a, stacked_b)
        module.lora_a_stacked = tuple(_scratch(a) for a in stacked_a)
        module.lora_b_stacked = tuple(_scratch(b) for b in stacked_b)
        _copy_weights(module, layer, module.lora_a_stacked, module.lora_b_stacked)
        return (AddLinearTorch if operation == ADD_TORCH else AddLinear)(number)
    if type(module) is LogitsProcessorWithLoRA:
        stacked_a, stacked_b = (module.lora_a_stacked,), (module.lora_b_stacked,)
        operation, number, layer = _make(factory, wrapper.logit_rows, stacked_a, stacked_b)
        module.lora_a_stacked, module.lora_b_stacked = _scratch(stacked_a[0]), _scratch(stacked_b[0])
        _copy_weights(module, layer, (module.lora_a_stacked,), (module.lora_b_stacked,))
        return AddLogits(operation, number, wrapper)
    if type(module) is VocabParallelEmbeddingWithLoRA:
        _, number, layer = factory.make_embedding(wrapper.token_rows, module.lora_b_stacked.shape[2])
        # A stays where it is, stacked: the graph looks tokens up in it.
        _copy_weights(module, layer, (module.lora_a_stacked.transpose(1, 2).unsqueeze(1),), (module.lora_b_stacked,))
        return AddEmbedding(number, wrapper)
    return wrapper


def _make(
    factory: LayerFactory, rows: Any, stacked_a: Sequence[torch.Tensor], stacked_b: Sequence[torch.Tensor]
) -> tuple[str, int, Layer]:
    slots, _, max_rank, inputs = stacked_a[0].shape
    widths = [b.shape[2] for b in stacked_b]
    return factory.make_layer(rows, stacked_a[0].dtype, inputs, widths, slots, max_rank)


def _scratch(stacked: torch.Tensor) -> torch.Tensor:
    """The memory of one slot under the shape of all of them: ``set_lora`` writes any slot to the same place."""
    return torch.zeros_like(stacked[:1]).expand(stacked.shape)


def _copy_weights(
    module: Any, layer: Layer, stacked_a: Sequence[torch.Tensor], stacked_b: Sequence[torch.Tensor]
) -> None:
    set_lora, reset_lora = module.set_lora, module.reset_lora
    module.lorarack_layer = layer

    def clear(index: int) -> None:
        reset_lora(index)
        layer.clear(index)

    def put(index: int, lora_a: Any, lora_b: Any) -> None:
        set_lora(index, lora_a, lora_b)  # begins with `self.reset_lora(index)`, which is `clear`
        for part, rank in enumerate(_ranks(lora_a, len(stacked_a))):
            if rank:
                layer.put(index, part, stacked_a[part][index, 0, :rank], stacked_b[part][index, 0, :, :rank])

    module.set_lora, module.reset_lora = put, clear


def _ranks(lora_a: Any, parts: int) -> list[int]:
    """The rank of each slice; 0 where the adapter leaves it alone. Where slices share an A, the largest that it may be."""
    if isinstance(lora_a, torch.Tensor):
        return [lora_a.shape[0]] * parts
    ranks = [0 if a is None else a.shape[0] for a in lora_a]
    return ranks if len(ranks) == parts else [max(ranks)] * parts
