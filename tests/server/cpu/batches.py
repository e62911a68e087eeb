"""Batches of LoRA arithmetic for the tests: any mixture of slots, and what float64 says comes out."""

from dataclasses import dataclass, field
from typing import Any

import torch
from hypothesis import strategies as st


@dataclass(frozen=True)
class Batch:
    """One step: the slot of every row (-1: none), and the sizes of one layer with packed output slices."""

    slots: tuple[int, ...]
    slot_count: int
    rank: int
    width: int
    slices: tuple[int, ...]
    dtype: torch.dtype
    scale: float
    seed: int
    x: torch.Tensor = field(init=False, compare=False, repr=False)
    y: torch.Tensor = field(init=False, compare=False, repr=False)
    lora_a: tuple[torch.Tensor, ...] = field(init=False, compare=False, repr=False)
    lora_b: tuple[torch.Tensor, ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        source = torch.Generator().manual_seed(self.seed)

        def draw(*shape: int) -> torch.Tensor:
            return torch.randn(*shape, generator=source).to(self.dtype)

        rows = len(self.slots)
        object.__setattr__(self, "x", draw(rows, self.width))
        object.__setattr__(self, "y", draw(rows, sum(self.slices)))
        object.__setattr__(self, "lora_a", tuple(draw(self.slot_count, 1, self.rank, self.width) for _ in self.slices))
        object.__setattr__(self, "lora_b", tuple(draw(self.slot_count, 1, size, self.rank) for size in self.slices))

    def expected(self) -> torch.Tensor:
        """``y + scale · B A x`` for rows with an adapter, ``y`` for the others: float64, row by row."""
        result = self.y.double()
        for row, slot in enumerate(self.slots):
            offset = 0
            for a, b, size in zip(self.lora_a, self.lora_b, self.slices, strict=True):
                if slot >= 0:
                    shrunk = a[slot, 0].double() @ self.x[row].double()
                    result[row, offset : offset + size] += self.scale * (b[slot, 0].double() @ shrunk)
                offset += size
        return result

    @property
    def tolerance(self) -> float:
        """One rounding of the result to its own type, plus float32 sums; results stay below about 2⁹."""
        return 2.0 if self.dtype == torch.bfloat16 else 1e-2


def batches(dtype: torch.dtype | None = None) -> st.SearchStrategy[Batch]:
    """Any batch: empty, one row, all base, all one adapter, runs and scattered rows."""
    rows = st.lists(st.tuples(st.integers(-1, 3), st.integers(1, 5)), max_size=12)
    slots = rows.map(lambda runs: tuple(slot for slot, count in runs for _ in range(count)))
    return st.builds(
        Batch,
        slots=slots,
        slot_count=st.just(4),
        rank=st.sampled_from([1, 4, 8, 16]),
        width=st.sampled_from([8, 32, 48]),
        slices=st.sampled_from([(24,), (16, 8, 8), (40, 40)]),
        dtype=st.just(dtype) if dtype else st.sampled_from([torch.float32, torch.bfloat16]),
        scale=st.sampled_from([1.0, 0.5]),
        seed=st.integers(0, 1000),
    )


def wrapper_for(
    wrapper_class: Any, slots: tuple[int, ...], slot_count: int, requests: tuple[int, ...] | None = None
) -> Any:
    """A punica wrapper that has been told the mapping as vLLM's model runner tells it (slot s holds adapter 100 + s)."""
    from vllm.lora.layers import LoRAMapping

    def ids(values: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(0 if slot < 0 else 100 + slot for slot in values)

    wrapper = wrapper_class(256, max_batches=256, device="cpu")
    mapping = LoRAMapping(ids(slots), ids(slots if requests is None else requests), is_prefill=True)
    wrapper.update_metadata(mapping, [100 + slot for slot in range(slot_count)], slot_count + 1, 1000)
    return wrapper
