"""vLLM's interface to LoRA arithmetic ("punica wrapper") for CPUs, without vLLM's faults.

Replaces ``vllm.lora.punica_wrapper.punica_cpu.PunicaWrapperCPU``, which applies the last slot's adapter to rows that have
none, and copies A and B for every token. Signatures are vLLM 0.32's; tests/server/test_vllm_facts.py watches them.
"""

from typing import Any

import torch
from vllm.lora.punica_wrapper.punica_base import PunicaWrapperBase

from lorarack.server.cpu.custom_ops import layer_factory
from lorarack.server.cpu.row_groups import group_rows
from lorarack.server.cpu.shrink_expand import expand, put, shrink, slot_matrix, take


class GroupedPunicaWrapper(PunicaWrapperBase):
    """LoRA for batches in which any row may have any adapter, or none.

    Layers that ``layer_patch.py`` patches read ``token_rows`` and ``logit_rows``; the others call the methods.
    """

    def __init__(self, max_num_batched_tokens: int, max_batches: int, device: Any, **kwargs: Any) -> None:
        super().__init__(max_num_batched_tokens, max_batches, device, **kwargs)
        self._embeddings_indices.zero_()  # looked up for rows beyond the mapping too, and empty memory is no index
        self.token_rows, self.logit_rows = layer_factory().make_rows(), layer_factory().make_rows()

    def update_metadata(
        self, mapping: Any, lora_index_to_id: list[int | None], max_loras: int, vocab_size: int, **kwargs: Any
    ) -> None:
        """Take a step's mapping of rows to adapters and group it, once for all layers."""
        self._update_base_metadata(mapping, lora_index_to_id, max_loras, vocab_size)
        self.is_prefill = mapping.is_prefill
        self.token_rows.assign(self.token_lora_indices)
        self.logit_rows.assign(self.sampler_indices)

    def add_shrink(self, y: Any, x: torch.Tensor, lora_a_stacked: Any, scale: float, **kwargs: Any) -> None:
        """``y[i][rows] = scale · x[rows] @ A_iᵀ`` for each slice i; rows without an adapter keep what they had."""
        x = x.view(-1, x.shape[-1])
        for group in self.token_rows.covered(x.shape[0]):
            for index, lora_a in enumerate(lora_a_stacked):
                out = y[index].view(-1, y[index].shape[-1])
                product = shrink(x, lora_a, group, scale)
                put(out[:, : product.shape[1]], group.rows, product, add=False)

    def add_expand(
        self,
        y: torch.Tensor,
        x: Any,
        lora_b_stacked: Any,
        output_slices: tuple[int, ...],
        offset_start: int = 0,
        add_inputs: bool = True,
        **kwargs: Any,
    ) -> None:
        """``y[rows, slice i] += x[i][rows] @ B_iᵀ``, slice after slice from ``offset_start``."""
        y = y.view(-1, y.shape[-1])
        for group in self.token_rows.covered(y.shape[0]):
            offset = offset_start
            for index, lora_b in enumerate(lora_b_stacked):
                columns = slice(offset, offset + output_slices[index])
                expand(y, take(x[index], group.rows), lora_b, group, columns, add=add_inputs)
                offset = columns.stop

    def add_lora_linear(
        self,
        y: torch.Tensor,
        x: torch.Tensor,
        lora_a_stacked: tuple[torch.Tensor, ...],
        lora_b_stacked: tuple[torch.Tensor, ...],
        scale: float,
        output_slices: tuple[int, ...],
        *,
        buffer: tuple[torch.Tensor, ...] | None = None,
        **kwargs: Any,
    ) -> None:
        """``y[rows, slice i] += scale · (x[rows] @ A_iᵀ) @ B_iᵀ``; a ``buffer`` would only be memory to reuse."""
        y, x = y.view(-1, y.shape[-1]), x.view(-1, x.shape[-1])
        for group in self.token_rows.covered(x.shape[0]):
            rows = take(x, group.rows).float()
            offset = 0
            for lora_a, lora_b, width in zip(lora_a_stacked, lora_b_stacked, output_slices, strict=True):
                shrunk = rows @ slot_matrix(lora_a, group.slot).float().t()
                expand(y, shrunk.mul_(scale), lora_b, group, slice(offset, offset + width))
                offset += width

    def add_lora_embedding(
        self, y: torch.Tensor, x: torch.Tensor, lora_b_stacked: torch.Tensor, add_inputs: bool = True, **kwargs: Any
    ) -> None:
        """``y[rows] += x[rows] @ Bᵀ``, where x is what looking tokens up in A gave."""
        y, x = y.view(-1, y.shape[-1]), x.view(-1, x.shape[-1])
        for group in self.token_rows.covered(x.shape[0]):
            expand(y, take(x, group.rows), lora_b_stacked, group, slice(None), add=add_inputs)

    def add_lora_logits(
        self,
        y: torch.Tensor,
        x: torch.Tensor,
        lora_a_stacked: torch.Tensor,
        lora_b_stacked: torch.Tensor,
        scale: float,
        *,
        buffer: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> None:
        """``y[rows] += scale · (x[rows] @ Aᵀ) @ Bᵀ`` on the rows from which logits are made."""
        y, x = y.view(-1, y.shape[-1]), x.view(-1, x.shape[-1])
        for group in group_rows(self.logit_slots(x)):
            expand(y, shrink(x, lora_a_stacked, group, scale), lora_b_stacked, group, slice(None))

    def apply_lora_full_linear(
        self,
        y: torch.Tensor,
        x: torch.Tensor,
        weight_stacked: torch.Tensor,
        bias_stacked: torch.Tensor,
        module_enabled: torch.Tensor,
    ) -> None:
        """``y[rows] = x[rows] @ Wᵀ + bias`` where the slot brings a whole classification head of its own."""
        for group in group_rows(self.sampler_indices):
            if module_enabled[group.slot]:
                product = shrink(x, weight_stacked, group, 1.0)
                put(y, group.rows, product + slot_matrix(bias_stacked, group.slot).float(), add=False)

    def logit_slots(self, x: torch.Tensor) -> torch.Tensor:
        """The slots of the rows that logits are wanted for.

        Usually one row per request. For prompt logprobs vLLM passes a window of the step's tokens instead
        (``GPUModelRunner._get_prompt_logprobs_dict``) and leaves the mapping as it is; the window's place in the memory of
        the whole step says which tokens these are.
        """
        tokens, requests = self.token_lora_indices, self.sampler_indices
        first = x.storage_offset() // max(x.stride(0), 1)
        is_window = x.untyped_storage().nbytes() > x.numel() * x.element_size()
        if is_window and first + x.shape[0] <= tokens.shape[0]:
            return tokens[first : first + x.shape[0]]
        if x.shape[0] != requests.shape[0] and x.shape[0] == tokens.shape[0]:
            return tokens
        if requests.shape[0] > x.shape[0]:
            raise RuntimeError(f"logits for {x.shape[0]} rows came with a mapping of {requests.shape[0]} requests")
        return requests
