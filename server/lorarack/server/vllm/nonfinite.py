"""NaN and infinity fail the request that they belong to, and stay out of the KV cache that requests share.

vLLM's attention on a CPU multiplies V of a block's unused slots by 0, and 0 times NaN is NaN: one such number in the KV
cache makes every later request that gets the block answer with nothing.
"""

from typing import Any

import torch

from lorarack.server.vllm.adapter_loader import adapter_files

#: What a failed request's answer carries as its reason to stop, so that the API process knows it from other errors.
NOT_FINITE, NOT_LOADED = "lorarack: not finite", "lorarack: not loaded"
_REASONS = {1: NOT_FINITE, 2: NOT_LOADED}


def patch_kv_cache() -> None:
    """Keep NaN and infinity out of the KV cache of a CPU. Once per process."""
    from vllm.v1.attention.backends.cpu_attn import CPUAttentionBackendImpl

    implementation: Any = CPUAttentionBackendImpl
    if getattr(implementation, "_lorarack", False):
        return
    implementation._lorarack = True
    update = implementation.do_kv_cache_update

    def do_kv_cache_update(
        self: Any, layer: Any, key: torch.Tensor, value: torch.Tensor, kv_cache: Any, slot_mapping: Any
    ) -> None:
        update(self, layer, torch.nan_to_num(key), torch.nan_to_num(value), kv_cache, slot_mapping)

    implementation.do_kv_cache_update = do_kv_cache_update


def patch_model_runner() -> None:
    """Find the requests of a step whose rows are not finite or lack their adapter. Once per process."""
    from vllm.v1.worker.gpu_model_runner import GPUModelRunner

    runner: Any = GPUModelRunner
    if getattr(runner, "_lorarack", False):
        return
    runner._lorarack = True
    forward = runner._model_forward

    def model_forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        output = forward(self, *args, **kwargs)
        hidden = output[0] if isinstance(output, tuple) else output
        self._lorarack_hidden = hidden if isinstance(hidden, torch.Tensor) else None
        return output

    runner._model_forward, runner._get_nans_in_logits = model_forward, _failed_requests


def _failed_requests(runner: Any, logits: torch.Tensor | None) -> dict[str, int]:
    """The requests of the step that failed, in place of vLLM's count of NaN by request."""
    batch = runner.input_batch
    names = batch.req_ids[: batch.num_reqs]
    found: dict[str, int] = {}
    if logits is not None and logits.shape[0] == len(names):
        # Masks set -inf on purpose; NaN wins every maximum.
        good = (logits.amax(dim=-1) < torch.inf).tolist()
        found.update((name, 1) for name, is_good in zip(names, good, strict=True) if not is_good)
    hidden, runner._lorarack_hidden = getattr(runner, "_lorarack_hidden", None), None
    if hidden is not None and not bool((finite := torch.isfinite(hidden).all(dim=-1)).all()):
        starts = runner.query_start_loc.np
        found.update(
            (name, 1)
            for row, name in enumerate(names)
            if not bool(finite[int(starts[row]) : int(starts[row + 1])].all())
        )
    if hasattr(runner, "lora_manager") and (missing := adapter_files(runner.lora_manager).failed):
        ids = batch.request_lora_mapping
        found.update((name, 2) for row, name in enumerate(names) if int(ids[row]) in missing)
    return found


def failing_scheduler(scheduler: Any) -> Any:
    """A scheduler like ``scheduler``, a class, that ends a step's failed requests with an error and no tokens."""

    class FailingScheduler(scheduler):
        def update_from_output(self, scheduler_output: Any, model_runner_output: Any) -> Any:
            answers = super().update_from_output(scheduler_output, model_runner_output)
            counts = model_runner_output.num_nans_in_logits or {}
            failed = {name: number for name, number in counts.items() if number}
            if failed:
                _fail(self, answers, failed)
            return answers

    return FailingScheduler


def _fail(scheduler: Any, answers: dict[int, Any], failed: dict[str, int]) -> None:
    from vllm.v1.engine import EngineCoreOutput, EngineCoreOutputs, FinishReason
    from vllm.v1.request import RequestStatus

    told = set()
    for answer in answers.values():
        for output in answer.outputs:
            if (number := failed.get(output.request_id)) is not None:
                output.new_token_ids, output.new_logprobs, output.new_prompt_logprobs_tensors = [], None, None
                output.finish_reason, output.stop_reason = FinishReason.ERROR, _REASONS.get(number, NOT_FINITE)
                told.add(output.request_id)
    clients = {name: scheduler.requests[name].client_index for name in failed if name in scheduler.requests}
    scheduler.finish_requests(list(clients), RequestStatus.FINISHED_ERROR)
    for name, client in clients.items():
        if name not in told:
            answer = answers.setdefault(client, EngineCoreOutputs(outputs=[]))
            reason = _REASONS.get(failed[name], NOT_FINITE)
            answer.outputs.append(EngineCoreOutput(name, [], finish_reason=FinishReason.ERROR, stop_reason=reason))
