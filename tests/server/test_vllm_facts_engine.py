"""What the guards of an engine put in the place of vLLM 0.32's own, or call: each is there, with the parameters that they use."""

import importlib
import inspect

import pytest
import torch

pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning"),
]

ATTENTION = "vllm.v1.attention.backends.cpu_attn"
MANAGER = "vllm.lora.worker_manager"
RUNNER = "vllm.v1.worker.gpu_model_runner"
SCHEDULER = "vllm.v1.core.sched.scheduler"


@pytest.mark.parametrize(
    ("module", "owner", "name", "parameters"),
    [
        (ATTENTION, "CPUAttentionBackendImpl", "do_kv_cache_update", "layer key value kv_cache slot_mapping"),
        (RUNNER, "GPUModelRunner", "_get_nans_in_logits", "logits"),
        (RUNNER, "GPUModelRunner", "_model_forward", None),
        (SCHEDULER, "Scheduler", "update_from_output", "scheduler_output model_runner_output"),
        (SCHEDULER, "Scheduler", "finish_requests", "request_ids finished_status"),
        (MANAGER, "LRUCacheWorkerLoRAManager", "_load_adapter", "lora_request"),
        (MANAGER, "LRUCacheWorkerLoRAManager", "add_adapter", "lora_request"),
        (MANAGER, "LRUCacheWorkerLoRAManager", "remove_adapter", "adapter_id"),
        (MANAGER, "LRUCacheWorkerLoRAManager", "set_active_adapters", "requests mapping"),
        (MANAGER, "LRUCacheWorkerLoRAManager", "list_adapters", ""),
        ("vllm.lora.model_manager", "LRUCacheLoRAModelManager", "_validate_moe_lora_format", None),
        ("vllm.lora.model_manager", "LRUCacheLoRAModelManager", "_validate_modules_to_save", None),
        ("vllm.lora.model_manager", "LRUCacheLoRAModelManager", "_validate_token_classification_lora", None),
        ("vllm.lora.peft_helper", "PEFTHelper", "get_rank_and_scaling", "module_name"),
        ("vllm.lora.peft_helper", "PEFTHelper", "validate_legal", "lora_config"),
        ("vllm.config", "SchedulerConfig", "get_scheduler_cls", ""),
        ("vllm.v1.worker.worker_base", "WorkerWrapperBase", "init_device", ""),
    ],
)  # fmt: skip
def test_what_the_guards_replace_or_call_is_there(module: str, owner: str, name: str, parameters: str | None) -> None:
    method = getattr(getattr(importlib.import_module(module), owner), name)
    if parameters is not None:
        assert list(inspect.signature(method).parameters) == ["self", *parameters.split()]


def test_an_adapter_is_made_of_tensors_with_our_arguments() -> None:
    from vllm.lora.lora_model import LoRAModel

    ours = {
        "lora_model_id", "tensors", "peft_helper", "device", "dtype", "model_vocab_size", "weights_mapper", "skip_prefixes",
    }  # fmt: skip
    assert ours <= set(inspect.signature(LoRAModel.from_lora_tensors).parameters)


def test_one_worker_on_a_cpu_runs_the_guarded_methods() -> None:
    """An override would pass our guards by."""
    from vllm.v1.worker.cpu_model_runner import CPUModelRunner

    for name in ("_model_forward", "_get_nans_in_logits"):
        assert name not in vars(CPUModelRunner)


def test_the_count_goes_from_the_runner_to_the_scheduler() -> None:
    from vllm.v1.engine import EngineCoreOutput
    from vllm.v1.outputs import ModelRunnerOutput

    assert "num_nans_in_logits" in {*ModelRunnerOutput.__annotations__}
    assert {"new_token_ids", "finish_reason", "stop_reason", "new_logprobs", "new_prompt_logprobs_tensors"} <= {
        *EngineCoreOutput.__annotations__
    }


def test_failed_requests_have_a_reason_an_error_and_their_adapter() -> None:
    from vllm.exceptions import GenerationError
    from vllm.outputs import RequestOutput
    from vllm.v1.engine import FinishReason
    from vllm.v1.request import Request, RequestStatus
    from vllm.v1.worker.gpu_input_batch import InputBatch

    assert str(FinishReason.ERROR) == "error"
    assert RequestStatus.get_finished_reason(RequestStatus.FINISHED_ERROR) is FinishReason.ERROR
    assert issubclass(GenerationError, Exception)
    assert "lora_request" in inspect.signature(RequestOutput).parameters
    assert "self.client_index" in inspect.getsource(Request.__init__)
    assert "self.request_lora_mapping" in inspect.getsource(InputBatch.__init__)


def attention(unused: float) -> torch.Tensor:
    """What a CPU answers to a finite query of three tokens, where V of the block's other slots holds ``unused``."""
    import vllm  # noqa: F401 - its platform loads the operations
    from vllm import _custom_ops as ops

    tokens, block, size, kind = 3, 32, 64, torch.bfloat16
    isa = "vec"  # AMX needs a permission that a worker asks for
    random = torch.Generator().manual_seed(0)
    key, value, query = (torch.randn(tokens, 1, size, generator=random).to(kind) for _ in range(3))
    keys, values = torch.zeros(1, 1, block, size, dtype=kind), torch.zeros(1, 1, block, size, dtype=kind)
    before = torch.full((block, 1, size), unused, dtype=kind)
    ops.cpu_attn_reshape_and_cache(torch.zeros_like(before), before, keys, values, torch.arange(block), isa)
    ops.cpu_attn_reshape_and_cache(key, value, keys, values, torch.arange(tokens), isa)
    starts, lengths = torch.tensor([0, 1], dtype=torch.int32), torch.tensor([tokens], dtype=torch.int32)
    plan = ops.cpu_attn_get_scheduler_metadata(
        num_reqs=1, num_heads=1, num_kv_heads=1, head_dim=size, seq_lens=lengths, dtype=kind, query_start_loc=starts,
        causal=True, sliding_window_size=-1, isa=isa, enable_kv_split=False,
    )  # fmt: skip
    output = torch.zeros(1, 1, size, dtype=kind)
    ops.cpu_attention_with_kv_cache(
        query=query[-1:], key_cache=keys, value_cache=values, output=output, query_start_loc=starts, seq_lens=lengths,
        scale=size**-0.5, causal=True, alibi_slopes=None, sliding_window=-1,
        block_table=torch.zeros(1, 1, dtype=torch.int32), softcap=0.0, scheduler_metadata=plan, s_aux=None,
    )  # fmt: skip
    return output


def test_a_number_left_in_an_unused_slot_changes_nothing() -> None:
    assert torch.equal(attention(7.0), attention(0.0))
    assert attention(7.0).isfinite().all()


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_one_that_is_not_finite_poisons_who_gets_the_block(number: float) -> None:
    """0 times NaN is NaN: why ``nonfinite.patch_kv_cache`` is there. When this fails, it can go."""
    assert not attention(number).isfinite().all()
