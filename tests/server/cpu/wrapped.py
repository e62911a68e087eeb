"""Layers as vLLM builds and wraps them for LoRA, with random weights and random adapters."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

SLOTS = 4
MAX_RANK = 16
HIDDEN = 32


@dataclass
class Adapter:
    """What vLLM's loader hands to ``set_lora``, and what it means: the whole ``B A`` of the layer, in float64."""

    a: Any
    b: Any
    product: torch.Tensor


@dataclass(frozen=True)
class Kind:
    """One kind of wrapped layer. ``parts``: widths of the slices that have an A and a B each in the adapter."""

    name: str
    build: Callable[[], Any]
    wrapper: str
    parts: tuple[int, ...]
    packed: bool = False  # adapters come as lists, one entry a part, None where the part is left alone

    def adapter(self, rank: int, seed: int, dtype: torch.dtype) -> Adapter:
        """Each part its own rank; of packed layers now and then a part is left alone."""
        source = torch.Generator().manual_seed(seed)

        def draw(*shape: int) -> torch.Tensor:
            return (torch.randn(*shape, generator=source) / 4).to(dtype)

        pairs: list[tuple[torch.Tensor, torch.Tensor] | None] = []
        for part, width in enumerate(self.parts):
            own = max(1, rank - 3 * part)
            left_alone = self.packed and len(self.parts) > 1 and (seed + part) % 3 == 0
            pairs.append(None if left_alone else (draw(own, HIDDEN), draw(width, own)))
        product = torch.cat(
            [
                torch.zeros(width, HIDDEN, dtype=torch.float64) if pair is None else pair[1].double() @ pair[0].double()
                for width, pair in zip(self.parts, pairs, strict=True)
            ]
        )
        if self.packed:
            return Adapter([pair and pair[0] for pair in pairs], [pair and pair[1] for pair in pairs], product)
        assert pairs[0] is not None
        return Adapter(*pairs[0], product)


def linear(name: str, *args: Any, **kwargs: Any) -> Callable[[], Any]:
    """Builds a layer of ``vllm.model_executor.layers.linear``."""

    def build() -> Any:
        from vllm.model_executor.layers import linear as layers

        return getattr(layers, name)(*args, bias=True, **kwargs)

    return build


QKV = linear("QKVParallelLinear", HIDDEN, 8, 4, 2)  # 4 heads of 8, 2 of keys and of values

LINEAR_KINDS = (
    Kind("column", linear("ColumnParallelLinear", HIDDEN, 40), "ColumnParallelLinearWithLoRA", (40,)),
    Kind("row", linear("RowParallelLinear", HIDDEN, 24), "RowParallelLinearWithLoRA", (24,)),
    Kind("replicated", linear("ReplicatedLinear", HIDDEN, 10), "ReplicatedLinearWithLoRA", (10,)),
    Kind(
        "merged, two parts",
        linear("MergedColumnParallelLinear", HIDDEN, [24, 24]),
        "MergedColumnParallelLinearWithLoRA",
        (24, 24),
        packed=True,
    ),
    Kind(
        "merged, one weight",
        linear("MergedColumnParallelLinear", HIDDEN, [24, 24]),
        "ColumnParallelLinearWithLoRA",
        (48,),
    ),
    Kind("qkv, three parts", QKV, "MergedQKVParallelLinearWithLoRA", (32, 16, 16), packed=True),
    Kind("qkv, one part", QKV, "QKVParallelLinearWithLoRA", (64,)),
    Kind(
        "merged, three parts",
        linear("MergedColumnParallelLinear", HIDDEN, [8, 24, 16]),
        "MergedColumnParallelLinearVariableSliceWithLoRA",
        (8, 24, 16),
        packed=True,
    ),
    Kind(
        "merged, three parts in one weight",
        linear("MergedColumnParallelLinear", HIDDEN, [8, 24, 16]),
        "MergedColumnParallelLinearVariableSliceWithLoRA",
        (48,),
    ),
)


@contextmanager
def vllm_world(port: int) -> Iterator[Any]:
    """vLLM's process groups for one process, and a configuration; all gone afterwards."""
    from vllm.config import VllmConfig, set_current_vllm_config
    from vllm.distributed import parallel_state

    config = VllmConfig()
    with set_current_vllm_config(config):
        parallel_state.init_distributed_environment(1, 0, f"tcp://127.0.0.1:{port}", 0, backend="gloo")
        parallel_state.initialize_model_parallel(1, 1)
        try:
            yield config
        finally:
            parallel_state.destroy_model_parallel()
            parallel_state.destroy_distributed_environment()


def lora_config(dtype: torch.dtype) -> Any:
    """As `--max-loras 4 --max-lora-rank 16` makes it."""
    from vllm.config.lora import LoRAConfig

    return LoRAConfig(max_lora_rank=MAX_RANK, max_loras=SLOTS, lora_dtype=dtype)


def wrap(kind: Kind, dtype: torch.dtype) -> Any:
    """The layer with random weights, wrapped as vLLM chooses to wrap it."""
    from vllm.lora.utils import from_layer

    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        base = kind.build()
    finally:
        torch.set_default_dtype(before)
    source = torch.Generator().manual_seed(len(kind.name))
    for parameter in base.parameters():
        parameter.data.copy_(torch.randn(parameter.shape, generator=source) / 4)
    packed = [f"part{number}" for number in range(len(kind.parts))]
    wrapped = from_layer(base, max_loras=SLOTS, lora_config=lora_config(dtype), packed_modules_list=packed)
    assert type(wrapped).__name__ == kind.wrapper
    return wrapped


def tell(wrapper: Any, slots: tuple[int, ...], requests: tuple[int, ...] | None = None, vocabulary: int = 48) -> None:
    """Tell the wrapper a step's mapping, as vLLM's model runner does (slot s holds adapter 100 + s)."""
    from vllm.lora.layers import LoRAMapping

    def ids(values: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(0 if slot < 0 else 100 + slot for slot in values)

    mapping = LoRAMapping(ids(slots), ids(slots if requests is None else requests), is_prefill=True)
    wrapper.update_metadata(mapping, [100 + slot for slot in range(SLOTS)], SLOTS, vocabulary)
